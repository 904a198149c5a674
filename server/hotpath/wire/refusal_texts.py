"""The words of refusals: names of fields, what can be wrong with one, and whole texts.

They are those of `server/services/refusal.py`, byte for byte; a test compares them.
"""

from __future__ import annotations

from typing import Final

from server.hotpath.records import FIELDS, PROBLEMS
from server.hotpath.wire.fields import DECIDE_REQUEST_FIELDS, EXECUTION_REPORT_FIELDS, TEXT

NOT_FOUND: Final = 5
INVALID_ARGUMENT: Final = 3
PERMISSION_DENIED: Final = 7
ALREADY_EXISTS: Final = 6
RESOURCE_EXHAUSTED: Final = 8
FAILED_PRECONDITION: Final = 9

# Names: those that the engine can name keep their number, the others follow.
NAMES: Final = tuple(
    dict.fromkeys(
        (
            *FIELDS,
            *(name for name, _, kind in DECIDE_REQUEST_FIELDS if kind == TEXT),
            *(name for name, _, kind in EXECUTION_REPORT_FIELDS if kind == TEXT),
            *("sent_at", "event_time", "min_state_version", "decision_id"),
            *("request", "requests", "report"),
            *("directive_id", "after_directive_id", "detail"),
        )
    )
)
P_LONG_ID: Final = len(PROBLEMS)
P_LONG_SYMBOL: Final = P_LONG_ID + 1
P_ZERO_BYTE: Final = P_LONG_ID + 2
P_TIME: Final = P_LONG_ID + 3
P_UTF8: Final = P_LONG_ID + 4
P_MESSAGE: Final = P_LONG_ID + 5
P_ITEMS: Final = P_LONG_ID + 6
P_LONG_DETAIL: Final = P_LONG_ID + 7
PROBLEM_TEXTS: Final = (
    *PROBLEMS,
    "must be at most 64 bytes",
    "must be at most 32 bytes",
    "must not contain a zero byte",
    "must be a time after 1970 and before 2262",
    "is not valid UTF-8",
    "is not a valid message",
    "must have 1 to 1000 items",
    "must be at most 256 bytes",
)
PREFIXES: Final = ("", "request.", "report.")
IN_REQUEST: Final = 1
IN_REPORT: Final = 2

# Whole refusals: code, name, text.
FIXED: Final = (
    (RESOURCE_EXHAUSTED, "", "the message is too large"),
    (ALREADY_EXISTS, "client_order_id", "client_order_id: was used for another request"),
    (
        RESOURCE_EXHAUSTED,
        "client_order_id",
        "client_order_id: was decided, but its answer could not be kept",
    ),
    (
        INVALID_ARGUMENT,
        "replaces_client_order_id",
        "replaces_client_order_id: cannot be used in an all-or-none batch",
    ),
    (
        FAILED_PRECONDITION,
        "min_state_version",
        "min_state_version: the state is not that new yet",
    ),
    (RESOURCE_EXHAUSTED, "", "capacity exhausted: positions or reports"),
    (14, "", "the engine is not ready"),
    (FAILED_PRECONDITION, "account_id", "account_id: this account belongs to another engine"),
    (14, "", "the journal cannot be written"),
    (PERMISSION_DENIED, "", "this identity may not use this account or provider"),
    (RESOURCE_EXHAUSTED, "", "too many calls"),
    (NOT_FOUND, "directive_id", "directive_id: no such directive"),
    (
        ALREADY_EXISTS,
        "directive_id",
        "directive_id: was acknowledged with another outcome",
    ),
)
(
    TOO_LARGE,
    ORDER_ID_TAKEN,
    ANSWER_GONE,
    REPLACES_TOGETHER,
    STATE_TOO_OLD,
    TABLES_FULL,
    NOT_READY,
    WRONG_SHARD,
    JOURNAL_AWAY,
    NOT_YOURS,
    TOO_MANY_CALLS,
    DIRECTIVE_UNKNOWN,
    DIRECTIVE_DONE,
) = range(len(FIXED))

N_REQUEST: Final = NAMES.index("request")
N_REQUESTS: Final = NAMES.index("requests")
N_REPORT: Final = NAMES.index("report")
N_ACCOUNT_ID: Final = NAMES.index("account_id")
N_DIRECTIVE_ID: Final = NAMES.index("directive_id")
N_AFTER_ID: Final = NAMES.index("after_directive_id")
N_DETAIL: Final = NAMES.index("detail")
