"""A configuration with the breakers of its account, as one message and as what is kept of it."""

from collections.abc import Sequence
from typing import Any, Final

from google.protobuf.json_format import MessageToDict, ParseDict

from riskgate.v1 import breaker_pb2, risk_config_pb2
from server.forms import fields
from server.forms.breaker import write_breaker
from server.forms.risk_configuration import write_risk_configuration
from server.record.circuit_breakers import StoredBreaker
from server.record.risk_configurations import StoredRiskConfiguration

# What the record says of a breaker: a definition that is kept has none of it.
_OF_THE_RECORD: Final[tuple[Any, ...]] = (
    *("breaker_id", "version", "created_at", "updated_at"),
    *("over_request", "reset_at"),
)


def write_account_limits(
    stored: StoredRiskConfiguration, present: Sequence[StoredBreaker]
) -> risk_config_pb2.AccountLimits:
    """Return a configuration with the breakers saved with it, else with the present ones."""
    if stored.saved_breakers is None:
        breakers = [write_breaker(breaker) for breaker in present]
    else:
        breakers = [ParseDict(each, breaker_pb2.CircuitBreaker()) for each in stored.saved_breakers]
    return risk_config_pb2.AccountLimits(
        configuration=write_risk_configuration(stored),
        breakers=breakers,
        breakers_saved_at=fields.timestamp(stored.breakers_saved_at),
    )


def keep_definition(stored: StoredBreaker) -> dict[str, Any]:
    """Return the definition of a breaker as JSON values."""
    message = write_breaker(stored)
    for name in _OF_THE_RECORD:
        message.ClearField(name)
    return MessageToDict(message, preserving_proto_field_name=True)
