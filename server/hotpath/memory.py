"""Where the tables are.

Allocated once by `new_state`, reached by kernels through one record of addresses.

A kernel takes `state`, a MEMORY record, as a single pointer. `account_at(state, row)` and its like
are references into the tables, `engine_of(state)` and its like the single records. The owner keeps
the `State` of arrays alive as long as kernels run; tests and converters read the same memory
through it.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import carray as untyped_carray  # type: ignore[attr-defined]

from server.hotpath.intrinsics import part_reference, pointer_to, row_reference
from server.hotpath.jit import kernel
from server.hotpath.layout import CHANGE_RISK_CONFIGURATION, POLICY, WINDOW, packed_dtype
from server.hotpath.model_tables import (
    ENCODING_INDEX_SIZE,
    ENCODING_KEY_WORDS,
    ENCODING_LEVELS_MAX,
    FEATURES_MAX,
    MODEL_SLOT,
    MODEL_SLOTS,
    NODES_MAX,
    TREES_MAX,
    ModelTables,
    new_model_tables,
)
from server.hotpath.records import DECISION, REPORT, REPORT_RESULT, REQUEST, WORK
from server.hotpath.rows import (
    ACCOUNT,
    BREAKER,
    CONTENT,
    CONVERSION_RATE,
    ENGINE,
    EVENT,
    EXPOSURE,
    IDEMPOTENCY,
    INSTRUMENT,
    KILL,
    OVERRIDE,
    POSITION,
    PROVIDER,
    RESERVATION,
    SEEN_REPORT,
    STRATEGY,
    WHEEL_BUCKETS,
)
from server.hotpath.table import TABLE, Table, new_table

Array = np.ndarray[Any, np.dtype[Any]]

_I8 = "<i8"

# numba gives it no type.
carray: Any = untyped_carray

TABLES: Final[dict[str, np.dtype[np.void]]] = {
    "instruments": INSTRUMENT,
    "accounts": ACCOUNT,
    "overrides": OVERRIDE,
    "providers": PROVIDER,
    "rates": CONVERSION_RATE,
    "breakers": BREAKER,
    "positions": POSITION,
    "exposures": EXPOSURE,
    "windows": WINDOW,
    "reservations": RESERVATION,
    "idempotency": IDEMPOTENCY,
    "reports": SEEN_REPORT,
    "strategies": STRATEGY,
    "contents": CONTENT,
    "kills": KILL,
}
_PARTS: Final = (
    "engine",
    "policy",
    "configurations",
    "request",
    "decision",
    "work",
    "report",
    "report_result",
    "events",
)

MEMORY: Final = packed_dtype(
    *((name, _I8) for name in TABLES),  # address of the rows
    *((f"{name}_table", _I8) for name in TABLES),  # address of the TABLE record
    *((name, _I8) for name in _PARTS),
    *((f"model_{name}", _I8) for name in ModelTables._fields),  # of the arrays of the models
    ("wheel", _I8),  # address of int64[WHEEL_BUCKETS]: first reservation of each bucket
    ("answer_capacity", _I8),  # bytes of the ring of stored answers
    ("fault", _I8),  # set by units.py when a result left int64
    ("scratch", (_I8, (32,))),  # keys under construction
    ("quantiles", ("<f8", (4,))),  # q50 and q90 of the model
    ("features", ("<f4", (32,))),
    ("variables", ("<f8", (64,))),  # what conditions of breakers are about
    ("event_capacity", _I8),
)

instrument_at = row_reference(MEMORY, "instruments", INSTRUMENT)
account_at = row_reference(MEMORY, "accounts", ACCOUNT)
configuration_at = row_reference(MEMORY, "configurations", CHANGE_RISK_CONFIGURATION)
override_at = row_reference(MEMORY, "overrides", OVERRIDE)
provider_at = row_reference(MEMORY, "providers", PROVIDER)
rate_at = row_reference(MEMORY, "rates", CONVERSION_RATE)
breaker_at = row_reference(MEMORY, "breakers", BREAKER)
position_at = row_reference(MEMORY, "positions", POSITION)
exposure_at = row_reference(MEMORY, "exposures", EXPOSURE)
window_at = row_reference(MEMORY, "windows", WINDOW)
reservation_at = row_reference(MEMORY, "reservations", RESERVATION)
remembered_at = row_reference(MEMORY, "idempotency", IDEMPOTENCY)
seen_report_at = row_reference(MEMORY, "reports", SEEN_REPORT)
strategy_at = row_reference(MEMORY, "strategies", STRATEGY)
content_at = row_reference(MEMORY, "contents", CONTENT)
kill_at = row_reference(MEMORY, "kills", KILL)
event_at = row_reference(MEMORY, "events", EVENT)

engine_of = part_reference(MEMORY, "engine", ENGINE)
policy_of = part_reference(MEMORY, "policy", POLICY)
request_of = part_reference(MEMORY, "request", REQUEST)
decision_of = part_reference(MEMORY, "decision", DECISION)
work_of = part_reference(MEMORY, "work", WORK)
report_of = part_reference(MEMORY, "report", REPORT)
result_of = part_reference(MEMORY, "report_result", REPORT_RESULT)

instruments_of = part_reference(MEMORY, "instruments_table", TABLE)
accounts_of = part_reference(MEMORY, "accounts_table", TABLE)
overrides_of = part_reference(MEMORY, "overrides_table", TABLE)
providers_of = part_reference(MEMORY, "providers_table", TABLE)
rates_of = part_reference(MEMORY, "rates_table", TABLE)
breakers_of = part_reference(MEMORY, "breakers_table", TABLE)
positions_of = part_reference(MEMORY, "positions_table", TABLE)
exposures_of = part_reference(MEMORY, "exposures_table", TABLE)
windows_of = part_reference(MEMORY, "windows_table", TABLE)
reservations_of = part_reference(MEMORY, "reservations_table", TABLE)
idempotency_of = part_reference(MEMORY, "idempotency_table", TABLE)
reports_of = part_reference(MEMORY, "reports_table", TABLE)
strategies_of = part_reference(MEMORY, "strategies_table", TABLE)
contents_of = part_reference(MEMORY, "contents_table", TABLE)
kills_of = part_reference(MEMORY, "kills_table", TABLE)


@kernel
def words_at_nb(address: int, count: int) -> Any:
    """Return `count` words at an address as an int64 array."""
    return carray(pointer_to(address), (count,), np.int64)


@kernel
def models_of(state: Any) -> ModelTables:
    """Return the tables of the lowered models, as arrays that nobody counts references of.

    Handing them down as arguments instead would count each array at each call: a microsecond of
    locked additions per decision.
    """
    nodes = (MODEL_SLOTS, NODES_MAX)
    keys = (MODEL_SLOTS, ENCODING_LEVELS_MAX, ENCODING_KEY_WORDS)
    return ModelTables(
        carray(pointer_to(state.model_slots), (MODEL_SLOTS,), MODEL_SLOT),
        carray(pointer_to(state.model_node_features), nodes, np.uint8),
        carray(pointer_to(state.model_node_thresholds), nodes, np.float32),
        carray(pointer_to(state.model_leaf_weights), (MODEL_SLOTS, 2 * NODES_MAX), np.float32),
        carray(pointer_to(state.model_child_true), nodes, np.int32),
        carray(pointer_to(state.model_child_false), nodes, np.int32),
        carray(pointer_to(state.model_roots), (MODEL_SLOTS, TREES_MAX), np.int32),
        carray(pointer_to(state.model_linear_offsets), (MODEL_SLOTS, FEATURES_MAX), np.float32),
        carray(pointer_to(state.model_linear_scales), (MODEL_SLOTS, FEATURES_MAX), np.float32),
        carray(
            pointer_to(state.model_linear_coefficients),
            (MODEL_SLOTS, 2 * FEATURES_MAX),
            np.float32,
        ),
        carray(pointer_to(state.model_level_index), (MODEL_SLOTS, ENCODING_INDEX_SIZE), np.int64),
        carray(pointer_to(state.model_level_keys), keys, np.int64),
        carray(
            pointer_to(state.model_level_values), (MODEL_SLOTS, ENCODING_LEVELS_MAX, 2), np.float32
        ),
        carray(pointer_to(state.model_positions), (TREES_MAX,), np.uint32),
    )


class Capacity(NamedTuple):
    """Rows per table; memory is touched only as rows are used."""

    instruments: int = 1_024
    accounts: int = 131_072
    providers: int = 1_048_576
    overrides: int = 131_072
    rates: int = 4_096
    breakers: int = 16_384
    positions: int = 524_288
    exposures: int = 524_288
    windows: int = 640
    reservations: int = 4_194_304
    idempotency: int = 1_048_576
    answer_bytes: int = 1 << 30
    strategies: int = 65_536
    contents: int = 262_144
    kills: int = 4_096
    events: int = 16_384


class State(NamedTuple):
    """Everything a decision reads or writes, as arrays."""

    memory: Array  # MEMORY[1]: what kernels get
    engine: Array  # ENGINE[1]
    policy: Array  # POLICY[1]
    configurations: Array  # CHANGE_RISK_CONFIGURATION by account row
    request: Array  # REQUEST[1]: what is being decided
    decision: Array  # DECISION[1]: its answer
    work: Array  # WORK[1]
    report: Array  # REPORT[1]
    report_result: Array  # REPORT_RESULT[1]
    instruments: Table
    accounts: Table
    overrides: Table
    providers: Table
    rates: Table
    breakers: Table
    positions: Table
    exposures: Table
    windows: Table
    reservations: Table
    idempotency: Table
    reports: Table
    strategies: Table
    contents: Table
    kills: Table
    events: Array  # EVENT by row; row 0 is never used
    wheel: Array
    answers: Array  # uint8 ring of stored answers
    models: ModelTables


def new_state(capacity: Capacity) -> State:
    """Allocate the tables of one engine and record where they are."""
    sizes = {**capacity._asdict(), "reports": capacity.idempotency}
    tables = {name: new_table(dtype, sizes[name]) for name, dtype in TABLES.items()}
    parts = {
        "engine": np.zeros(1, ENGINE),
        "policy": np.zeros(1, POLICY),
        "configurations": np.zeros(capacity.accounts + 1, CHANGE_RISK_CONFIGURATION),
        "request": np.zeros(1, REQUEST),
        "decision": np.zeros(1, DECISION),
        "work": np.zeros(1, WORK),
        "report": np.zeros(1, REPORT),
        "report_result": np.zeros(1, REPORT_RESULT),
        "events": np.zeros(capacity.events + 1, EVENT),
    }
    wheel = np.zeros(WHEEL_BUCKETS, np.int64)
    models = new_model_tables()
    memory = np.zeros(1, MEMORY)
    for name, table in tables.items():
        memory[name] = table.rows.ctypes.data
        memory[f"{name}_table"] = table.record.ctypes.data
    for name, part in parts.items():
        memory[name] = part.ctypes.data
    for name, table in models._asdict().items():
        memory[f"model_{name}"] = table.ctypes.data
    memory["wheel"] = wheel.ctypes.data
    memory["answer_capacity"] = capacity.answer_bytes
    memory["event_capacity"] = capacity.events
    fields: dict[str, Any] = {
        "memory": memory,
        "wheel": wheel,
        "answers": np.zeros(capacity.answer_bytes, np.uint8),
        "models": models,
        **parts,
        **tables,
    }
    return State(**fields)
