"""Random messages of the decision port: rows of the random world as protobuf, whole or spoilt."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from riskgate.v1 import decision_pb2 as pb
from server.hotpath.layout import SECOND_NS
from server.hotpath.records import (
    HAS_ATR,
    HAS_ENTRY_PRICE,
    HAS_REQUESTED_LOTS,
    HAS_STOP_LOSS,
    HAS_TAKE_PROFIT,
    HAS_VOLATILITY_INDEX,
    REPORT_HAS_COMMISSION,
    REPORT_HAS_CUMULATIVE,
    REPORT_HAS_LOTS,
    REPORT_HAS_PNL,
    REPORT_HAS_PRICE,
)

_REQUEST_NUMBERS: Final = {
    "entry_price": HAS_ENTRY_PRICE,
    "stop_loss": HAS_STOP_LOSS,
    "take_profit": HAS_TAKE_PROFIT,
    "requested_lots": HAS_REQUESTED_LOTS,
    "atr": HAS_ATR,
    "volatility_index": HAS_VOLATILITY_INDEX,
}
_REPORT_NUMBERS: Final = {
    "lots": REPORT_HAS_LOTS,
    "price": REPORT_HAS_PRICE,
    "cumulative_lots": REPORT_HAS_CUMULATIVE,
    "realised_pnl": REPORT_HAS_PNL,
    "commission": REPORT_HAS_COMMISSION,
}
_TIMES: Final = {"sent_at_ns": "sent_at", "event_time_ns": "event_time"}
_VARINT, _FIXED64, _LENGTH, _GROUP, _GROUP_END, _FIXED32 = range(6)
_TEXTS: Final = (
    b"", b"\0", b"a\0b", b"A" * 32, b"A" * 33, b"A" * 64, b"A" * 65, b"x" * 300,
    "Größe".encode(), "訂單".encode(), "🙂".encode(), b"\xff", b"\xc0\x80", b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80", b"\xf0\x80\x80\x80", b"\xe2\x82", "🙂".encode() * 16, b"12345678\xc3",
    b"a<b>'\"/\n" + "é".encode(),
    b"1234567\0", b"12345678\0", b"usd", b"report-1",
)  # fmt: skip
_DEPTHS: Final = (1, 2, 97, 98, 99, 100, 101)


def _to_message(row: Any, message: Any, numbers: dict[str, int]) -> Any:
    present = int(row["present"])
    for column in row.dtype.names:
        if column in {"present", "identity"}:  # who calls is no part of the message
            continue
        value = row[column]
        if value.shape:
            setattr(message, column, value.tobytes().rstrip(b"\0").decode())
        elif column in numbers:
            if present & numbers[column]:
                setattr(message, column, float(value))
        elif column in _TIMES:
            if value:
                moment = getattr(message, _TIMES[column])
                moment.seconds, moment.nanos = divmod(int(value), SECOND_NS)
        else:
            setattr(message, column, int(value))
    return message


def to_request(row: Any) -> pb.DecideRequest:
    """Return the message that packs into a REQUEST record."""
    request: pb.DecideRequest = _to_message(row, pb.DecideRequest(), _REQUEST_NUMBERS)
    return request


def to_report(row: Any) -> pb.ExecutionReport:
    """Return the message that packs into a REPORT record."""
    report: pb.ExecutionReport = _to_message(row, pb.ExecutionReport(), _REPORT_NUMBERS)
    return report


def varint(number: int, padding: int = 0) -> bytes:
    """Encode a number ≥ 0, with `padding` needless bytes."""
    digits = bytearray()
    while number > 127 or (padding and not digits):
        digits.append(number & 127 | 128)
        number >>= 7
    while padding > 1:
        digits.append(number & 127 | 128)
        number, padding = 0, padding - 1
    digits.append(number)
    return bytes(digits)


def field(number: int, wire_type: int, content: bytes) -> bytes:
    """Encode a field; length-delimited content gets its length."""
    tag = varint(number << 3 | wire_type)
    return tag + (varint(len(content)) if wire_type == _LENGTH else b"") + content


class Spoiler:
    """Damages serialised messages, or makes them odd but sound.

    Args:
        rng: Source of all choices.
        numbers_max: Field numbers up to this are known to the message.
    """

    def __init__(self, rng: np.random.Generator, numbers_max: int = 30) -> None:
        self._rng = rng
        self._numbers_max = numbers_max
        self._ways: tuple[Callable[[bytes], bytes], ...] = (
            self._flip_bytes, self._flip_bytes, self._cut, self._splice, self._splice,
            self._splice, self._splice, self._drop_piece, self._repeat_piece, self._pad_tag,
        )  # fmt: skip

    def spoil(self, raw: bytes) -> bytes:
        """Return the message after one to three changes."""
        for _ in range(self._int(1, 4)):
            raw = self._ways[self._int(0, len(self._ways))](raw)
        return raw

    def _int(self, low: int, high: int) -> int:
        return int(self._rng.integers(low, high))

    def _flip_bytes(self, raw: bytes) -> bytes:
        data = bytearray(raw)
        for _ in range(self._int(1, 4)):
            if data:
                data[self._int(0, len(data))] = self._int(0, 256)
        return bytes(data)

    def _cut(self, raw: bytes) -> bytes:
        return raw[: self._int(0, len(raw) + 1)]

    def _drop_piece(self, raw: bytes) -> bytes:
        start = self._int(0, len(raw) + 1)
        return raw[:start] + raw[start + self._int(0, 12) :]

    def _repeat_piece(self, raw: bytes) -> bytes:
        start = self._int(0, len(raw) + 1)
        return raw + raw[start : start + self._int(0, 80)]

    def _pad_tag(self, raw: bytes) -> bytes:
        """Write the first tag, and perhaps its value, longer than needed."""
        if not raw or raw[0] >= 128:
            return raw
        head = varint(raw[0], self._int(1, 6))
        if len(raw) > 1 and raw[1] < 128 and self._int(0, 2):
            return head + varint(raw[1], self._int(1, 11)) + raw[2:]
        return head + raw[1:]

    def _splice(self, raw: bytes) -> bytes:
        """Put a field in front or behind, so that the order of both is seen."""
        extra = self._any_field(3)
        return extra + raw if self._int(0, 2) else raw + extra

    def _any_field(self, depth: int) -> bytes:
        kind = self._int(0, 12)
        number = self._int(0, self._numbers_max)
        if self._int(0, 6) == 0:
            number = (0, 31, 32, 33, 1_000, 2**29 - 1, 2**29)[self._int(0, 7)]
        if kind <= 2:
            return field(number, _VARINT, self._any_varint())
        if kind == 3:
            return field(number, _FIXED64, self._rng.bytes(8))
        if kind == 4:
            return field(number, _FIXED32, self._rng.bytes(4))
        if kind == 5:
            return self._group(number, depth)
        if kind == 6 and depth:
            return field(number, _LENGTH, self._any_field(depth - 1) + self._any_field(depth - 1))
        if kind == 7:
            return field(number, self._int(4, 8), b"")
        if kind == 8:
            return self._time(number)
        return field(number, _LENGTH, _TEXTS[self._int(0, len(_TEXTS))])

    def _time(self, number: int) -> bytes:
        seconds = (0, 5, 2**63 // SECOND_NS, 2**63 // SECOND_NS + 1, 2**63, 2**64 - 1)
        nanos = (0, 1, SECOND_NS - 1, SECOND_NS, 854_775_807, 854_775_808, 2**31, 2**64 - 1)
        parts = b""
        if self._int(0, 4):
            parts += field(1, _VARINT, varint(seconds[self._int(0, len(seconds))]))
        if self._int(0, 2):
            parts += field(2, _VARINT, varint(nanos[self._int(0, len(nanos))]))
        times = (number, 24, 11)
        return field(times[self._int(0, 3)], _LENGTH, parts)

    def _any_varint(self) -> bytes:
        choices = (0, 1, 2, 3, 5, 127, 128, 2**31, 2**32, 2**32 + 1, 2**63 - 1, 2**63, 2**64 - 1)
        number = choices[self._int(0, len(choices))]
        if self._int(0, 5) == 0:
            return varint(number & 127, self._int(1, 12))
        if self._int(0, 20) == 0:
            return b"\xff" * 9 + bytes([self._int(0, 128)])
        return varint(number)

    def _group(self, number: int, depth: int) -> bytes:
        if depth == 0 or self._int(0, 4) == 0:
            nested = _DEPTHS[self._int(0, len(_DEPTHS))]
            return field(number, _GROUP, b"") * nested + field(number, _GROUP_END, b"") * nested
        ends = number if self._int(0, 8) else number + 1
        inside = b"".join(self._any_field(depth - 1) for _ in range(self._int(0, 3)))
        return field(number, _GROUP, inside) + field(ends, _GROUP_END, b"")
