"""From StateChange bytes to a frame: everything travels, and what cannot be trusted is named."""

from typing import Any

import numpy as np
import pytest

from riskgate.v1.identity_pb2 import Identity
from server.change_packing import MalformedChangeError, key_row, pack_change, pack_refused
from server.changes import state_change
from server.hotpath.change_kinds import (
    ACCOUNT,
    BREAKER,
    BREAKER_RESET,
    CONVERSION_RATE,
    IDENTITY,
    INSTRUMENT,
    KILL,
    MARKET,
    MODEL,
    NO_CHANGE,
    POLICY,
    PROVIDER,
    RISK_CONFIGURATION,
    STRATEGY,
)
from server.hotpath.layout import CHANGE_ROWS, LAYOUT_VERSION, currency_word, text
from server.hotpath.model_tables import MODEL_SLOTS
from server.hotpath.ring_frame import FRAME, FRAME_BYTES

ROUTER = Identity(uri="spiffe://riskgate/trader/router", accounts=["A"]).SerializeToString()


def change_of(kind: int, rows: bytes, *, key: str = "", **fields: Any) -> bytes:
    message = state_change(kind, key, rows, version=5)  # type: ignore[arg-type]
    for name, value in fields.items():
        setattr(message, name, value)
    return message.SerializeToString()


def rows_of(kind: int, count: int = 1, **columns: Any) -> bytes:
    rows = np.zeros(count, CHANGE_ROWS[kind])
    for name, value in columns.items():
        rows[name] = value
    return rows.tobytes()


def unpack(frame: bytes) -> tuple[Any, bytes, bytes]:
    header = np.frombuffer(frame[:FRAME_BYTES], FRAME)[0]
    change_at = FRAME_BYTES + int(header["rows_bytes"])
    change = frame[change_at : change_at + int(header["change_bytes"])]
    return header, frame[FRAME_BYTES:change_at], change


@pytest.mark.parametrize("kind", CHANGE_ROWS)
@pytest.mark.parametrize("key", ["", "x", "1234567", "12345678"])
def test_change_when_packed_then_its_rows_and_its_very_bytes_travel(kind: int, key: str) -> None:
    rows = rows_of(kind, 3) if kind == MODEL else bytes(range(8)) * (3 * _words(kind))
    if kind in {INSTRUMENT, RISK_CONFIGURATION, BREAKER, POLICY, KILL}:
        rows = rows_of(kind, 3, **({"scope": 2} if kind == KILL else {}))
    change = change_of(kind, rows, key=key)
    frame = pack_change(change, 0)
    header, packed, carried = unpack(frame)
    assert (packed, carried) == (rows, change)
    assert header["frame_bytes"] == len(frame)
    assert len(frame) % 8 == 0
    assert (header["kind"], header["version"], header["row_count"]) == (kind, 5, 3)
    assert (header["deleted"], header["slot"]) == (0, 0)


@pytest.mark.parametrize("rows", [ROUTER, b""])
def test_identity_when_packed_then_its_place_and_bytes_travel_and_nothing_is_applied(
    rows: bytes,
) -> None:
    change = change_of(IDENTITY, rows, key="spiffe://riskgate/trader/router")
    header, packed, carried = unpack(pack_change(change, -1))
    assert (packed, carried) == (b"", change)
    assert (header["kind"], header["version"], header["row_count"]) == (IDENTITY, 5, 0)
    assert header["frame_bytes"] % 8 == 0


def _words(kind: int) -> int:
    return CHANGE_ROWS[kind].itemsize // 8


def test_model_change_when_packed_then_its_row_names_the_slot_and_its_bytes_do_not() -> None:
    change = change_of(MODEL, rows_of(MODEL, serial=1))
    header, rows, carried = unpack(pack_change(change, 3))
    assert header["slot"] == np.frombuffer(rows, CHANGE_ROWS[MODEL])["slot"][0] == 3
    assert carried == change


def test_deletion_when_packed_then_the_row_holds_its_key_and_nothing_else() -> None:
    change = change_of(PROVIDER, b"", key="user:beta")
    header, rows, carried = unpack(pack_change(change, -1))
    assert (header["deleted"], header["row_count"], carried) == (1, 1, change)
    row = np.frombuffer(rows, CHANGE_ROWS[PROVIDER])[0]
    assert (text(row["provider_id"]), row["provider_type"], row["score_micropoints"]) == (
        "beta",
        2,
        0,
    )


def test_refused_change_when_packed_then_only_its_place_is_left() -> None:
    header, rows, change = unpack(pack_refused())
    assert (header["kind"], header["frame_bytes"]) == (NO_CHANGE, FRAME_BYTES)
    assert rows == change == b""


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (b"\x0a", "not a StateChange"),
        (change_of(0, b"12345678"), "kind 0 is unknown"),
        (change_of(19, b"12345678"), "kind 19 is unknown"),
        (change_of(KILL, b"", key="account:A"), "nothing of kind 16 has the key"),
        (change_of(STRATEGY, b"", key="A/s"), "nothing of kind 17 has the key"),
        (change_of(BREAKER_RESET, b"", key="b"), "nothing of kind 18 has the key"),
        (change_of(IDENTITY, b"12345678"), "its rows are no Identity"),
        (change_of(IDENTITY, ROUTER, key="another"), "the identity is that of another key"),
        (change_of(ACCOUNT, rows_of(ACCOUNT), layout_version=0), "layout version 0"),
        (change_of(ACCOUNT, rows_of(ACCOUNT), layout_version=LAYOUT_VERSION + 1), "layout version"),
        (change_of(ACCOUNT, rows_of(ACCOUNT), version=2**63), "version .* is out of range"),
        (change_of(ACCOUNT, rows_of(ACCOUNT)[:-1]), "bytes are no whole rows of kind 2"),
        (change_of(ACCOUNT, rows_of(ACCOUNT) + b"1"), "bytes are no whole rows of kind 2"),
        (change_of(ACCOUNT, b"", key="x" * 65), "nothing of kind 2 has the key"),
        (change_of(PROVIDER, b"", key="robot:x"), "nothing of kind 4 has the key 'robot:x'"),
        (change_of(CONVERSION_RATE, b"", key="EURODOLLAR/X"), "nothing of kind 6 has the key"),
        (change_of(MARKET, b"", key="EURUSD"), "nothing of kind 5 has the key"),
        (change_of(MODEL, b"", key="slippage"), "nothing of kind 9 has the key"),
        (
            change_of(RISK_CONFIGURATION, rows_of(RISK_CONFIGURATION, 2, regime_count=[0, 9])),
            "regime_count is outside 0 to 8",
        ),
        (change_of(BREAKER, rows_of(BREAKER, symbol_count=33)), "symbol_count is outside"),
        (change_of(BREAKER, rows_of(BREAKER, exchange_count=-1)), "exchange_count is outside"),
        (change_of(POLICY, rows_of(POLICY, multiplier_count=9)), "multiplier_count is outside"),
        (change_of(POLICY, rows_of(POLICY, quality_count=2**62)), "quality_count is outside"),
    ],
    # The bytes hold a time, and every process that runs tests must give them the same names.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_change_when_it_cannot_be_trusted_then_refused_by_name(change: bytes, problem: str) -> None:
    with pytest.raises(MalformedChangeError, match=problem):
        pack_change(change, -1)


@pytest.mark.parametrize("slot", [-2, MODEL_SLOTS])
def test_model_change_when_its_slot_does_not_exist_then_refused(slot: int) -> None:
    with pytest.raises(MalformedChangeError, match="does not exist"):
        pack_change(change_of(MODEL, rows_of(MODEL)), slot)


def test_key_row_when_the_key_is_of_a_rate_then_both_currencies_are_in_it() -> None:
    row = key_row(CONVERSION_RATE, "EUR/USD")[0]
    assert (row["from_currency"], row["to_currency"]) == (
        currency_word("EUR"),
        currency_word("USD"),
    )
    assert row["rate_picos"] == 0
