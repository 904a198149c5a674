"""The archive tables as COPY sees them: columns in order, each with the type it is sent as.

Binary COPY carries no types, only bytes, so a column may be sent as anything with the same bytes:
a time as the whole microseconds since 2000 that PostgreSQL keeps it as, a label of an enumeration
as text, a small array as what `smallint_array` returns.
"""

import struct
from functools import lru_cache
from typing import Final, NamedTuple

_INT2_OID: Final = 21
# Unix microseconds of 2000-01-01.
_EPOCH_US: Final = 946_684_800_000_000
_NS_PER_US: Final = 1_000

TIME: Final = "int8"
ENUM: Final = "text"
SMALLINTS: Final = "bytea"


class Table(NamedTuple):
    """One table of the archive.

    Attributes:
        name: In the schema riskgate.
        columns: Name → type it is sent as; a row has its values in this order.
    """

    name: str
    columns: dict[str, str]


def to_time(unix_ns: int) -> int:
    """Return a time as PostgreSQL keeps it: whole microseconds since 2000."""
    return unix_ns // _NS_PER_US - _EPOCH_US


@lru_cache(maxsize=4_096)
def smallint_array(numbers: tuple[int, ...]) -> bytes:
    """Return a smallint[] in PostgreSQL's binary form."""
    if not numbers:
        return struct.pack(">iii", 0, 0, _INT2_OID)
    head = struct.pack(">iiiii", 1, 0, _INT2_OID, len(numbers), 1)
    return head + b"".join(struct.pack(">ih", 2, number) for number in numbers)


def _typed(**names_by_type: str) -> dict[str, str]:
    return {name: kind for kind, names in names_by_type.items() for name in names.split()}


_KEY: Final = {"epoch": "int8", "sequence": "int8"}
_ENTRY: Final = {"shard": "int4", "entry_number": "int8"}

DECISION: Final = Table(
    "decision",
    {
        **_KEY,
        "decided_at": TIME,
        **_ENTRY,
        **_typed(
            text="account_id connection_id client_order_id signal_id strategy_id provider_id "
            "provider_type symbol side"
        ),
        **_typed(bool="reduce_only dry_run"),
        **_typed(text="verdict mode durability"),
        **_typed(numeric="lots sl_buffer_pips stop_price performance_score"),
        "trading_session": "text",
        "reasons": SMALLINTS,
        "binding_reason": "int2",
        "state_version": "int8",
        "model_version": "text",
        "model_digest": "bytea",
        "policy_version": "text",
        "policy_digest": "bytea",
        "server_ns": "int8",
        **_typed(bytea="checks request answer"),
    },
)
DECISION_BINDING: Final = Table(
    "decision_binding",
    {
        **_KEY,
        "decided_at": TIME,
        "reason": "int2",
        **_typed(text="status unit", numeric="limit_value observed lots_max"),
    },
)
PREDICTION: Final = Table(
    "prediction",
    {
        **_KEY,
        "prediction_type": ENUM,
        "created_at": TIME,
        **_typed(
            text="signal_id connection_id account_id provider_id provider_type symbol "
            "trading_session"
        ),
        "day_of_week": "int2",
        **_typed(numeric="market_atr volatility_index predicted_value predicted_q90"),
        **_typed(text="model_version model_algorithm"),
        "model_digest": "bytea",
    },
)
RESERVATION: Final = Table(
    "reservation",
    {
        **_KEY,
        "made_at": TIME,
        "shard": "int4",
        **_typed(text="account_id client_order_id symbol"),
        "is_exit": "bool",
        **_typed(numeric="lots held_lots"),
        "state": "text",
        "expires_at": TIME,
        "changed_at": TIME,
    },
)
EXECUTION_LOG: Final = Table(
    "execution_log",
    {
        **_KEY,
        "reported_at": TIME,
        **_ENTRY,
        **_typed(text="report_id account_id outcome kind"),
        **_typed(int8="decision_epoch decision_sequence decided_at"),
        **_typed(
            text="client_order_id connection_id signal_id provider_id provider_type symbol side "
            "position_id"
        ),
        **_typed(
            numeric="lots cumulative_lots price expected_price slippage pip_size realised_pnl "
            "commission"
        ),
        "event_at": TIME,
        **_typed(numeric="latency_ms market_atr volatility_index"),
        "trading_session": "text",
        "day_of_week": "int2",
        **_typed(numeric="equity held_lots position_lots"),
        "request": "bytea",
    },
)
