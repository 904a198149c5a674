"""Plain values and messages: any field there and back, and nothing is converted in silence."""

from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from riskgate.v1 import breaker_pb2, provider_pb2, reference_pb2, risk_config_pb2
from server.errors import InvalidFieldError
from server.forms.plain_values import FREE, TIMESTAMP, enum_words, is_map, read_plain, write_plain

FILES = (breaker_pb2, provider_pb2, reference_pb2, risk_config_pb2)
MESSAGES = [
    message
    for file in FILES
    for message in file.DESCRIPTOR.message_types_by_name.values()
    if not message.name.endswith(("Request", "Response"))
]


def filled(descriptor: Any) -> Message:
    """Return a message whose every field says something."""
    message_class: Any = GetMessageClass(descriptor)
    message: Message = message_class()
    for field in descriptor.fields:
        target = getattr(message, field.name)
        if is_map(field):
            inner = field.message_type.fields_by_name["value"]
            if inner.message_type:
                target["a"].CopyFrom(filled(inner.message_type))
            else:
                target["a"] = scalar(inner)
        elif field.message_type and field.is_repeated:
            target.add().CopyFrom(filled(field.message_type))
        elif field.message_type:
            target.CopyFrom(special(field.message_type) or filled(field.message_type))
        elif field.is_repeated:
            target.append(scalar(field))
        else:
            setattr(message, field.name, scalar(field))
    return message


def special(descriptor: Any) -> Message | None:
    message: Any = GetMessageClass(descriptor)()
    if descriptor.full_name == TIMESTAMP:
        message.FromJsonString("2026-01-31T12:00:00.123456Z")
    elif descriptor.full_name.endswith("ListValue"):
        message.append("x")
    elif descriptor.full_name in FREE:
        message["x"] = 0.5
    else:
        return None
    return message  # type: ignore[no-any-return]


def scalar(field: Any) -> Any:
    if field.enum_type:
        return max(enum_words(field.enum_type).values())
    if field.type == FieldDescriptor.TYPE_STRING:
        return "text"
    if field.type == FieldDescriptor.TYPE_BOOL:
        return True
    return 0.25 if field.type == FieldDescriptor.TYPE_DOUBLE else 7


@pytest.mark.parametrize("descriptor", MESSAGES, ids=lambda each: each.name)
def test_every_field_of_the_contract_goes_there_and_back(descriptor: Any) -> None:
    message = filled(descriptor)
    plain = write_plain(message)
    assert set(plain) == set(descriptor.fields_by_name)
    empty: Any = GetMessageClass(descriptor)()
    assert read_plain(empty, plain) == message


def test_words_are_those_of_the_origin_where_it_had_one() -> None:
    breaker = breaker_pb2.CircuitBreaker()
    read_plain(breaker, {"condition": "max_drawdown", "action": "close_position"})
    assert write_plain(breaker)["action"] == "close_position"
    with pytest.raises(InvalidFieldError, match="action: is unknown"):
        read_plain(breaker, {"action": "close"})
    with pytest.raises(InvalidFieldError, match="action: is unknown"):
        read_plain(breaker, {"action": "unspecified"})


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"symbol_configs": [{"symbol": "A"}, {"symbol": 1}]}, r"symbol_configs\[1\].symbol"),
        ({"symbol_configs": {}}, "symbol_configs"),
        ({"market_regime_thresholds": {"a": {"block": 1}}}, "market_regime_thresholds.a.block"),
        ({"market_regime_thresholds": []}, "market_regime_thresholds"),
        ({"cooling_off_period_minutes": 1.5}, "cooling_off_period_minutes"),
        ({"cooling_off_period_minutes": "1"}, "cooling_off_period_minutes"),
        ({"cooling_off_period_minutes": -1}, "cooling_off_period_minutes"),
        ({"cooling_off_period_minutes": 2**32}, "cooling_off_period_minutes"),
        ({"max_leverage": True}, "max_leverage"),
        ({"created_at": 0}, "created_at"),
        ({"created_at": "yesterday"}, "created_at"),
        ({"Config_id": "a"}, "Config_id"),
    ],
)
def test_what_is_of_another_type_is_refused_by_its_path(values: Any, path: str) -> None:
    with pytest.raises(InvalidFieldError, match=f"^invalid field: {path}: "):
        read_plain(risk_config_pb2.RiskConfiguration(), values)


def test_null_says_nothing() -> None:
    message = risk_config_pb2.RiskConfiguration(config_id="a", max_leverage=2)
    assert read_plain(message, {"max_leverage": None, "symbol_configs": None}).max_leverage == 2


def test_a_whole_number_may_be_written_with_a_point() -> None:
    message = read_plain(risk_config_pb2.RiskConfiguration(), {"cooling_off_period_minutes": 5.0})
    assert message.cooling_off_period_minutes == 5
