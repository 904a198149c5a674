"""The record of one wire: room for one message at a time, its refusal, and the counts."""

from __future__ import annotations

from typing import Final

from server.hotpath.layout import packed_dtype
from server.hotpath.wire.scan import DEPTH_MAX

_I8 = "<i8"

STATUS_CODES: Final = 17
ITEMS_MAX: Final = 1_000  # requests of one batch
TEXT_FIELDS_MAX: Final = 16
MESSAGE_BYTES_MAX: Final = 320
PATH_BYTES_MAX: Final = 64

WIRE: Final = packed_dtype(
    # --- how to answer ---
    ("may_wait", _I8),  # 1: a min_state_version may be waited for
    ("request_bytes_max", _I8),
    ("durability", _I8),  # riskgate.v1.Durability
    ("answers", _I8),  # address of the ring of stored answers
    ("answer_capacity", _I8),
    ("room", _I8),  # what the journal has left for this call: ROOM_*
    ("barred", _I8),  # 1 + index of the reason why nothing can be journaled; 0: it can
    ("exits_only", _I8),  # 1: what reduces a position may go all the same
    ("shard", _I8),
    ("shards", _I8),  # 1: every account is ours
    # --- whose call it is: grants.py ---
    ("holder", _I8),  # address of the HOLDER of the caller's identity; 0: a replay
    ("scope", _I8),  # address of its SCOPE during this call; 0: nothing is checked
    ("method", _I8),  # METHOD_* of the lane
    ("caller", _I8),  # address of the identity, which decisions may depend on
    ("caller_bytes", _I8),  # 0: unknown
    ("is_limited", _I8),  # 1: this message of a stream is one too many
    # --- room for one message ---
    ("timespec", (_I8, (2,))),
    ("scratch", _I8),  # address of room for one breaker or directive
    ("answer", _I8),  # address of room for one answer that becomes part of another
    ("decisions", _I8),  # address of DECISION[ITEMS_MAX], for all-or-none batches
    ("judged", _I8),  # address of JUDGED[ITEMS_MAX]
    ("readings", _I8),  # address of READING[ITEMS_MAX]: what is noted of each decision of a call
    ("reading_count", _I8),  # decisions made in this call
    ("applied", _I8),  # 1: a report or an acknowledgement was applied in this call
    ("items", _I8),  # requests in this call
    ("replaying", _I8),  # 1: the notes are those of a journal and stay as they are
    ("model_differences", _I8),  # decisions of a replay in which the model said something else
    ("open_numbers", (_I8, (DEPTH_MAX,))),
    ("text_at", (_I8, (TEXT_FIELDS_MAX,))),  # where each text field of the message was found
    ("text_bytes", (_I8, (TEXT_FIELDS_MAX,))),
    ("bad_text", _I8),  # 1 + name of the first text that is not UTF-8; 0: none
    ("has_time", _I8),
    ("seconds", _I8),
    ("nanos", _I8),
    ("tag", _I8),  # of a stream's message
    ("echoed_tag", _I8),  # the one that is given back when that message is not even read
    # --- why there is no answer ---
    ("refusal_code", _I8),  # gRPC status
    ("refusal_message", _I8),  # address
    ("refusal_message_bytes", _I8),
    ("refusal_field", _I8),
    ("refusal_field_bytes", _I8),
    # --- counts ---
    ("verdicts", (_I8, (4,))),
    ("repeated", _I8),
    ("reports", (_I8, (4,))),
    ("errors", (_I8, (STATUS_CODES,))),  # of items in batches and streams
    ("message", ("u1", (MESSAGE_BYTES_MAX,))),
    ("path", ("u1", (PATH_BYTES_MAX,))),
)
TIMESPEC_OFFSET: Final[int] = WIRE.fields["timespec"][1]  # type: ignore[index]
