"""Trust sets that their roots have signed although they break a rule."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from server.security.trust_set import build_trust_set
from server.security.trusted_key import compute_keyid
from server.statement_errors import (
    TrustSetKeyIdError,
    TrustSetKeyTwiceError,
    TrustSetKeyUnusableError,
    TrustSetMalformedError,
    TrustSetPersonTwiceError,
    TrustSetThresholdError,
)
from tests.attacks.cast import Attack, entries_of, entry_of, keyid_of
from tests.attacks.trust_sets import Case, load_altered

_SMALL_ORDER: Final = "01" + "00" * 31
# The number 1 written as 1 + p: another spelling of the same point.
_NOT_REDUCED: Final = "ee" + "ff" * 30 + "7f"
_EIGHTH: Final = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"


def _key(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [key for key in document["keys"] if key["keyid"] == keyid_of(name)]
    return found


def _edit_key(name: str, **changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: _key(document, name).update(changes)


def _plant(public_key_hex: str) -> Callable[[dict[str, Any]], object]:
    keyid = compute_keyid(bytes.fromhex(public_key_hex))
    return _edit_key("risk1", public_key_hex=public_key_hex, keyid=keyid)


def _append(name: str, **changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["keys"].append(_key(document, name) | changes)


def _add_person(name: str, **changes: Any) -> Callable[[dict[str, Any]], object]:
    entry = entry_of(name).model_dump() | changes
    return lambda document: document["keys"].append(entry)


_CASES: Final[list[Case]] = [
    (
        "the id of another key",
        TrustSetKeyIdError,
        partial(load_altered, _edit_key("risk1", keyid="ab" * 32)),
    ),
    (
        "one key under two ids",
        TrustSetKeyIdError,
        partial(load_altered, _append("risk1", keyid="0" * 64, person="alias")),
    ),
    (
        "one key for two people",
        TrustSetKeyTwiceError,
        partial(load_altered, _append("risk1", person="alias")),
    ),
    (
        "one key in two groups",
        TrustSetKeyTwiceError,
        partial(load_altered, _append("risk1", person="alias", group="technology")),
    ),
    (
        "an author's key that approves",
        TrustSetKeyTwiceError,
        partial(load_altered, _append("author", person="alias", role="approver", group="risk")),
    ),
    (
        "a root's key that signs releases",
        TrustSetKeyTwiceError,
        partial(load_altered, _append("root1", role="author")),
    ),
    (
        "one person in both groups",
        TrustSetPersonTwiceError,
        partial(load_altered, _add_person("risk2", person="tara")),
    ),
    (
        "one person with two root keys",
        TrustSetPersonTwiceError,
        partial(load_altered, _add_person("root3", person="ute")),
    ),
    ("a key of small order", TrustSetKeyUnusableError, partial(load_altered, _plant(_SMALL_ORDER))),
    ("a key of order eight", TrustSetKeyUnusableError, partial(load_altered, _plant(_EIGHTH))),
    ("a key of zeros", TrustSetKeyUnusableError, partial(load_altered, _plant("00" * 32))),
    (
        "a key that is not reduced",
        TrustSetKeyUnusableError,
        partial(load_altered, _plant(_NOT_REDUCED)),
    ),
    (
        "a threshold out of reach",
        TrustSetThresholdError,
        partial(load_altered, lambda document: document.update(root_threshold=3)),
    ),
    (
        "no root left",
        TrustSetThresholdError,
        partial(
            load_altered,
            lambda document: document.update(
                keys=[key for key in document["keys"] if key["role"] != "root"]
            ),
        ),
    ),
    (
        "a threshold of zero",
        TrustSetMalformedError,
        partial(load_altered, lambda document: document.update(root_threshold=0)),
    ),
    (
        "no keys",
        TrustSetMalformedError,
        partial(load_altered, lambda document: document.update(keys=[])),
    ),
    (
        "an approver without a group",
        TrustSetMalformedError,
        partial(load_altered, _edit_key("risk1", group="")),
    ),
    (
        "an author with a group",
        TrustSetMalformedError,
        partial(load_altered, _edit_key("author", group="risk")),
    ),
    (
        "a role that does not exist",
        TrustSetMalformedError,
        partial(load_altered, _edit_key("risk1", role="admin")),
    ),
    (
        "a group that does not exist",
        TrustSetMalformedError,
        partial(load_altered, _edit_key("risk1", group="everybody")),
    ),
    (
        "a name with a space behind",
        TrustSetMalformedError,
        partial(load_altered, _edit_key("risk1", person="tara ")),
    ),
    (
        "a name in capitals",
        TrustSetMalformedError,
        partial(load_altered, _edit_key("risk1", person="Tara")),
    ),
    (
        "a name in letters that look alike",
        TrustSetMalformedError,
        partial(load_altered, _edit_key("risk1", person="t\u0430ra")),
    ),
    (
        "a key in capitals",
        TrustSetMalformedError,
        partial(load_altered, _edit_key("risk1", public_key_hex="AB" * 32)),
    ),
    (
        "a field too many",
        TrustSetMalformedError,
        partial(load_altered, lambda document: document.update(note="")),
    ),
    (
        "a version that is a text",
        TrustSetMalformedError,
        partial(load_altered, lambda document: document.update(version="2")),
    ),
    (
        "built with a threshold out of reach",
        TrustSetThresholdError,
        lambda: build_trust_set(entries_of("root1"), root_threshold=2),
    ),
    (
        "built after something that is none",
        TrustSetMalformedError,
        lambda: build_trust_set(entries_of("root1"), root_threshold=1, previous=b"{}"),
    ),
]

ATTACKS: Final = [
    Attack(f"signed trust set: {name}", error, attempt) for name, error, attempt in _CASES
]
