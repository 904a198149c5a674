"""What a WatchDirectivesRequest asks for."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.intrinsics import load_byte, load_long, store_long
from server.hotpath.jit import i64, routine
from server.hotpath.layout import ID_BYTES_MAX, ID_WORDS
from server.hotpath.memory import accounts_of, words_at_nb
from server.hotpath.records import P_RANGE
from server.hotpath.table import find_nb
from server.hotpath.wire import fields as f
from server.hotpath.wire.decision import refuse_malformed_nb
from server.hotpath.wire.grants import may_use_nb
from server.hotpath.wire.refusal_texts import (
    N_ACCOUNT_ID,
    N_AFTER_ID,
    P_LONG_ID,
    P_ZERO_BYTE,
    WRONG_SHARD,
)
from server.hotpath.wire.refusals import refuse_account_nb, refuse_field_nb, refuse_fixed_nb
from server.hotpath.wire.scan import DEPTH_MAX, LENGTH, MALFORMED, VARINT, read_field_nb
from server.hotpath.wire.sharding import owns_account_nb
from server.hotpath.wire.text import is_text_nb, pack_text_nb

_ACCOUNT: Final = 0  # row in which its text is noted


@routine
def _scan_nb(wire: Any, address: int, length: int, target: int) -> bool:
    """Note the account's text and store the number behind its place; tell whether all is good."""
    end = address + length
    wire.bad_text = 0
    wire.text_bytes[_ACCOUNT] = 0
    after, is_good = i64(0), True
    while address < end:
        number, wire_type, value, content, address = read_field_nb(
            address, end, i64(DEPTH_MAX), wire.open_numbers
        )
        if address == MALFORMED:
            wire.bad_text = 0
            return False
        is_good &= number != 0
        if wire_type == VARINT and number == f.WATCH_DIRECTIVES_REQUEST_AFTER_DIRECTIVE_ID:
            after = value
        elif wire_type == LENGTH and number == f.WATCH_DIRECTIVES_REQUEST_ACCOUNT_ID:
            wire.text_at[_ACCOUNT] = content
            wire.text_bytes[_ACCOUNT] = value
            if not is_text_nb(content, value) and wire.bad_text == 0:
                wire.bad_text = i64(N_ACCOUNT_ID)
    store_long(target + i64(ID_BYTES_MAX), after)
    return is_good and wire.bad_text == 0


@routine
def _may_watch_nb(state: Any, wire: Any, account: int) -> bool:
    """Tell whether the caller may watch an account; refuse it otherwise."""
    if not may_use_nb(wire, account, i64(0)):
        return False
    if not owns_account_nb(wire, account):
        refuse_fixed_nb(wire, i64(WRONG_SHARD))
        return False
    if load_byte(account) == 0:
        return True
    if find_nb(accounts_of(state), words_at_nb(account, ID_WORDS), ID_WORDS) != 0:
        return True
    refuse_account_nb(wire, account, wire.text_bytes[_ACCOUNT])
    return False


@routine
def read_watch_nb(state: Any, wire: Any, address: int, length: int, target: int) -> bool:
    """Read a request and refuse what may not be.

    Args:
        state: MEMORY record.
        wire: WIRE record.
        address: Of the message.
        length: Of the message, bytes.
        target: Where the account's zero padded id goes, all zeros: every one; behind it stands
            after_directive_id, ≥ 0.
    """
    for word in range(ID_WORDS):
        store_long(target + 8 * word, i64(0))
    if not _scan_nb(wire, address, length, target):
        refuse_malformed_nb(wire, i64(0))
        return False
    size = wire.text_bytes[_ACCOUNT]
    if size > ID_BYTES_MAX:
        refuse_field_nb(wire, i64(0), i64(N_ACCOUNT_ID), i64(P_LONG_ID))
    elif size > 0 and not pack_text_nb(wire.text_at[_ACCOUNT], size, target):
        refuse_field_nb(wire, i64(0), i64(N_ACCOUNT_ID), i64(P_ZERO_BYTE))
    elif load_long(target + i64(ID_BYTES_MAX)) < 0:
        refuse_field_nb(wire, i64(0), i64(N_AFTER_ID), i64(P_RANGE))
    else:
        return _may_watch_nb(state, wire, target)
    return False
