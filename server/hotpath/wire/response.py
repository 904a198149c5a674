"""A DECISION record as a DecideResponse."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from server.hotpath.intrinsics import address_of, address_reference, load_byte, store_byte
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import MICROS, POLICY, PPM
from server.hotpath.memory import account_at, policy_of
from server.hotpath.model_tables import MODEL_SLOT
from server.hotpath.reasons import REASON_CODES, S_CUT, S_DENY, S_NOTE
from server.hotpath.records import (
    KNOWN_HOLD,
    KNOWN_LARGEST,
    KNOWN_MODEL,
    KNOWN_SCORE,
    KNOWN_SLIPPAGE,
    KNOWN_STOP_PRICE,
    KNOWN_TRAILING,
)
from server.hotpath.wire import fields as f
from server.hotpath.wire.ages import put_ages_nb
from server.hotpath.wire.directives import DIRECTIVES_BYTES_MAX, put_directives_nb
from server.hotpath.wire.encode import (
    put_bytes_nb,
    put_double_nb,
    put_number_nb,
    put_present_double_nb,
    put_tag_nb,
    put_time_nb,
    put_varint_nb,
    put_version_nb,
)
from server.hotpath.wire.explanation import (
    BREAKERS_BYTES_MAX,
    CHECKS_BYTES_MAX,
    put_breakers_nb,
    put_checks_nb,
)
from server.hotpath.wire.numbers import nearest_nb
from server.hotpath.wire.scan import LENGTH

# Everything else is below the first number; reasons are at most two bytes each.
ANSWER_BYTES_MAX: Final = 704 + BREAKERS_BYTES_MAX + DIRECTIVES_BYTES_MAX + CHECKS_BYTES_MAX

_CODES: Final = np.array(REASON_CODES, np.int64)
_REASONS: Final = len(REASON_CODES)
_DIGEST_BYTES: Final = 32
_SLOT_BYTES: Final = MODEL_SLOT.itemsize
_SLOT_DIGEST: Final[int] = MODEL_SLOT.fields["digest"][1]  # type: ignore[index]
_POLICY_DIGEST: Final[int] = POLICY.fields["digest"][1]  # type: ignore[index]

_slot_at = address_reference(MODEL_SLOT)


@routine
def _put_reasons_nb(out: int, decision: Any) -> int:
    """Write what denied, then cut, then deserves a note, each by rising index."""
    start = put_tag_nb(out, i64(f.DECIDE_RESPONSE_REASONS), i64(LENGTH)) + 1
    end = start
    for wanted in (S_DENY, S_CUT, S_NOTE):
        for index in range(_REASONS):
            if decision.status[index] == wanted:
                end = put_varint_nb(end, _CODES[index])
    if end == start:
        return out
    size = end - start
    if size < 128:
        store_byte(start - 1, size)
        return end
    # The length takes a second byte: what stands behind it moves on by one.
    for position in range(size - 1, -1, -1):
        store_byte(start + 1 + position, load_byte(start + position))
    put_varint_nb(start - 1, size)
    return end + 1


@kernel
def _put_sizes_nb(out: int, decision: Any) -> int:
    known = decision.known
    out = put_double_nb(out, i64(f.DECIDE_RESPONSE_LOT_SIZE), decision.lot_size)
    out = put_double_nb(out, i64(f.DECIDE_RESPONSE_SL_BUFFER_PIPS), decision.sl_buffer_pips)
    if known & KNOWN_STOP_PRICE:
        out = put_present_double_nb(out, i64(f.DECIDE_RESPONSE_STOP_PRICE), decision.stop_price)
    if known & KNOWN_TRAILING:
        distance = decision.trailing_stop_distance
        field = i64(f.DECIDE_RESPONSE_TRAILING_STOP_DISTANCE)
        out = put_present_double_nb(out, field, distance)
    if known & KNOWN_SLIPPAGE:
        predicted = decision.predicted_slippage_pips
        sizing = nearest_nb(decision.slippage_micropips, i64(0), i64(1), i64(MICROS))
        field = i64(f.DECIDE_RESPONSE_PREDICTED_SLIPPAGE_PIPS)
        out = put_present_double_nb(out, field, predicted)
        out = put_present_double_nb(out, i64(f.DECIDE_RESPONSE_SIZING_SLIPPAGE_PIPS), sizing)
    if known & KNOWN_SCORE:
        score = nearest_nb(decision.score_micropoints, i64(0), i64(1), i64(MICROS))
        multiplier = nearest_nb(decision.multiplier_ppm, i64(0), i64(1), i64(PPM))
        out = put_present_double_nb(out, i64(f.DECIDE_RESPONSE_PERFORMANCE_SCORE), score)
        out = put_present_double_nb(out, i64(f.DECIDE_RESPONSE_SCORE_MULTIPLIER), multiplier)
    return out


@kernel
def _put_model_nb(out: int, slot: int) -> int:
    version = _slot_at(slot).version
    out = put_version_nb(out, i64(f.DECIDE_RESPONSE_MODEL_VERSION), version)
    at = slot + _SLOT_DIGEST
    return put_bytes_nb(out, i64(f.DECIDE_RESPONSE_MODEL_DIGEST), at, i64(_DIGEST_BYTES))


@kernel
def _put_policy_nb(out: int, state: Any) -> int:
    policy = policy_of(state)
    major, minor, patch = policy.version_major, policy.version_minor, policy.version_patch
    digest = policy.digest
    named = (major | minor | patch | digest[0] | digest[1] | digest[2] | digest[3]) != 0
    if not named:
        return out
    version = (major, minor, patch)
    out = put_version_nb(out, i64(f.DECIDE_RESPONSE_POLICY_VERSION), version)
    at = address_of(policy) + _POLICY_DIGEST
    return put_bytes_nb(out, i64(f.DECIDE_RESPONSE_POLICY_DIGEST), at, i64(_DIGEST_BYTES))


@routine
def put_response_nb(
    out: int,
    state: Any,
    decision: Any,
    durability: int,
    explain: int,
    server_ns: int,
    account_row: int,
    newest_event: int,
    scratch: int,
) -> int:
    """Write the fields of a DecideResponse, in the order of their numbers; return the end.

    Args:
        out: Address with room for ANSWER_BYTES_MAX.
        state: MEMORY record.
        decision: DECISION record that holds an answer.
        durability: riskgate.v1.Durability.
        explain: Not 0: every check is listed.
        server_ns: From receipt to decision.
        account_row: Whose directives go with it; 0: of no known account.
        newest_event: Newest event when the decision was made.
        scratch: Address with room for one breaker or directive.
    """
    out = put_number_nb(out, i64(f.DECIDE_RESPONSE_DECISION_ID), decision.sequence)
    out = put_number_nb(out, i64(f.DECIDE_RESPONSE_EPOCH), decision.epoch)
    out = put_number_nb(out, i64(f.DECIDE_RESPONSE_VERDICT), decision.verdict)
    out = _put_sizes_nb(out, decision)
    out = _put_reasons_nb(out, decision)
    if decision.binding != 0:
        code = _CODES[decision.binding - 1]
        out = put_number_nb(out, i64(f.DECIDE_RESPONSE_BINDING_LIMIT), code)
    if decision.known & KNOWN_LARGEST:
        field = i64(f.DECIDE_RESPONSE_LARGEST_PASSING_LOTS)
        out = put_present_double_nb(out, field, decision.largest_passing_lots)
    if decision.breaker_count != 0:
        out = put_breakers_nb(out, state, decision, scratch)
    if account_row != 0 and account_at(state, account_row).first_event != 0:
        out = put_directives_nb(out, state, account_row, newest_event, scratch)
    if decision.known & KNOWN_MODEL:
        out = _put_model_nb(out, state.model_slots + decision.model_slot * i64(_SLOT_BYTES))
    out = _put_policy_nb(out, state)
    out = put_number_nb(out, i64(f.DECIDE_RESPONSE_MODE), decision.mode)
    out = put_number_nb(out, i64(f.DECIDE_RESPONSE_DURABILITY), durability)
    if decision.known & KNOWN_HOLD:
        field = i64(f.DECIDE_RESPONSE_RESERVATION_EXPIRES_AT)
        out = put_time_nb(out, field, decision.expires_at_ns)
    out = put_number_nb(out, i64(f.DECIDE_RESPONSE_STATE_VERSION), decision.state_version)
    out = put_ages_nb(out, decision)
    out = put_number_nb(out, i64(f.DECIDE_RESPONSE_SERVER_NS), max(server_ns, 0))
    if explain != 0:
        out = put_checks_nb(out, decision)
    return put_number_nb(out, i64(f.DECIDE_RESPONSE_SESSION), decision.session)
