from types import ModuleType

import grpc
import pytest

from server import errors, statement_errors, trust_errors
from server.errors import (
    ConfigurationError,
    ConflictError,
    EmbeddedServiceError,
    InvalidFieldError,
    NotFoundError,
    RiskgateError,
    UnavailableError,
)

PAGES = {module.__name__: module for module in (errors, trust_errors, statement_errors)}


def _all_classes() -> list[type[RiskgateError]]:
    return [
        value
        for name, module in PAGES.items()
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, RiskgateError) and value.__module__ == name
    ]


@pytest.mark.parametrize("error", _all_classes(), ids=lambda error: error.__name__)
def test_class_when_defined_then_is_in_the_drawn_tree_with_a_real_code(
    error: type[RiskgateError],
) -> None:
    assert error.grpc_code in grpc.StatusCode.__members__
    assert error.grpc_code not in {"OK", "UNKNOWN", "CANCELLED"}
    assert error.public_text
    assert error.__name__.endswith("Error")
    drawn = PAGES[error.__module__].__doc__
    assert f" {error.__name__} " in f"{drawn} ".replace("\n", " ")


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_codes_when_drawn_in_the_tree_then_are_those_of_the_classes(page: ModuleType) -> None:
    drawn = {}
    for line in (page.__doc__ or "").splitlines():
        words = line.replace("├──", "").replace("└──", "").replace("│", "").split()
        if len(words) > 1 and words[0].endswith("Error") and words[1].isupper():
            drawn[words[0]] = words[1]
    assert drawn
    for name, code in drawn.items():
        assert getattr(page, name).grpc_code == code


def test_public_message_when_there_is_a_story_then_keeps_it_inside() -> None:
    error = UnavailableError("database", "cannot open /srv/secret: <class 'OSError'>")
    assert error.public_message() == "temporarily unavailable: database"
    assert "/srv/secret" in str(error)


def test_public_message_when_the_detail_is_unsafe_then_replaces_and_cuts() -> None:
    error = NotFoundError("account", "../etc/x <class 'A'>\n" + "b" * 500)
    message = error.public_message()
    assert not set("/<>'\n") & set(message)
    assert message.startswith("not found: account ..?etc?x ?class ?A???bbb")
    assert len(message) < 200


def test_public_message_when_a_field_is_at_fault_then_names_it() -> None:
    error = InvalidFieldError("items[3].entry_price", "must be positive")
    assert error.public_message() == "invalid field: items[3].entry_price: must be positive"
    assert error.field == "items[3].entry_price"


def test_public_message_when_versions_differ_then_says_both() -> None:
    error = ConflictError("breaker", "b1", expected_version=3, version=5)
    assert "version 5, expected 3" in error.public_message()


def test_local_errors_when_shown_to_the_operator_then_say_everything() -> None:
    assert "a: x\n  b: y" in str(ConfigurationError(["a: x", "b: y"]))
    assert "/srv" not in ConfigurationError(["data_dir: /srv is not ours"]).public_message()
    assert "Mend: do this" in str(EmbeddedServiceError("it broke", mend="do this"))
