"""HTTP/2 frames written by hand, so that a test can break any rule, and a client for them.

Request headers are HPACK literals without indexing; answers are decoded by libnghttp2's inflater.
"""

import contextlib
import ctypes
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Self

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE = range(9)
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8

INITIAL_WINDOW_SIZE: Final = 4
WINDOW_BYTES_MAX: Final = (1 << 31) - 1
FRAME_HEADER_BYTES: Final = 9
DECISION_SERVICE: Final = "/riskgate.v1.DecisionService"

Headers = list[tuple[bytes, bytes]]


def frame(kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    header = struct.pack(">I", len(payload))[1:] + bytes((kind, flags))
    return header + struct.pack(">I", stream_id) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *pair) for pair in pairs))


def window_update(stream_id: int, count_bytes: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, struct.pack(">I", count_bytes))


def reset(stream_id: int, code: int = 8) -> bytes:
    return frame(RST_STREAM, 0, stream_id, struct.pack(">I", code))


def greeting(*pairs: tuple[int, int]) -> bytes:
    return PREFACE + settings(*pairs)


def _integer(value: int, prefix_bits: int) -> bytes:
    most = (1 << prefix_bits) - 1
    if value < most:
        return bytes((value,))
    out = bytearray((most,))
    value -= most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    out.append(value)
    return bytes(out)


def header_block(pairs: Iterable[tuple[str | bytes, str | bytes]]) -> bytes:
    out = bytearray()
    for pair in pairs:
        out.append(0)
        for text in pair:
            raw = text.encode() if isinstance(text, str) else text
            out += _integer(len(raw), 7) + raw
    return bytes(out)


def request_headers(method: str = "Decide", **replaced: str | None) -> list[tuple[str, str]]:
    """Headers of a gRPC call; replaced by name, _ for - and p_ for a colon; None: left out."""
    path = method if method.startswith("/") else f"{DECISION_SERVICE}/{method}"
    pairs: dict[str, str | None] = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    for name, value in replaced.items():
        known = ":" + name[2:] if name.startswith("p_") else name.replace("_", "-")
        pairs[known] = value
    return [(name, value) for name, value in pairs.items() if value is not None]


def open_call(
    stream_id: int, method: str = "Decide", *, end: bool = False, **replaced: str | None
) -> bytes:
    flags = END_HEADERS | (END_STREAM if end else 0)
    return frame(HEADERS, flags, stream_id, header_block(request_headers(method, **replaced)))


def message(raw: bytes, compressed: int = 0) -> bytes:
    return struct.pack(">BI", compressed, len(raw)) + raw


def data(stream_id: int, raw: bytes, *, end: bool = False) -> bytes:
    """DATA frames of at most 16 KiB each."""
    pieces = [raw[at : at + 16_384] for at in range(0, len(raw), 16_384)] or [b""]
    last = len(pieces) - 1
    return b"".join(
        frame(DATA, END_STREAM if end and number == last else 0, stream_id, piece)
        for number, piece in enumerate(pieces)
    )


def unary(stream_id: int, raw: bytes, method: str = "Decide", **replaced: str | None) -> bytes:
    """A whole call."""
    opening = frame(
        HEADERS, END_HEADERS, stream_id, header_block(request_headers(method, **replaced))
    )
    return opening + data(stream_id, message(raw), end=True)


def split_frames(raw: bytes) -> list[bytes]:
    """Cut a client's bytes into its preface and its frames."""
    parts, at = [raw[: len(PREFACE)]], len(PREFACE)
    while at < len(raw):
        size = FRAME_HEADER_BYTES + int.from_bytes(raw[at : at + 3])
        parts.append(raw[at : at + size])
        at += size
    return parts


def messages_of(body: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(body):
        size = int.from_bytes(body[at + 1 : at + 5])
        found.append(body[at + 5 : at + 5 + size])
        at += 5 + size
    assert at == len(body), "the body ends inside a message"
    return found


class _Pair(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.POINTER(ctypes.c_char)),
        ("value", ctypes.POINTER(ctypes.c_char)),
        ("name_length", ctypes.c_size_t),
        ("value_length", ctypes.c_size_t),
        ("flags", ctypes.c_uint8),
    )


class Inflater:
    """HPACK decoding by libnghttp2."""

    _EMIT, _FINAL = 2, 1

    def __init__(self) -> None:
        self._library: Any = ctypes.CDLL("libnghttp2.so.14")
        self._library.nghttp2_hd_inflate_hd2.restype = ctypes.c_ssize_t
        self._handle = ctypes.c_void_p()
        assert self._library.nghttp2_hd_inflate_new(ctypes.byref(self._handle)) == 0

    def decode(self, block: bytes) -> Headers:
        found: Headers = []
        pair, flags = _Pair(), ctypes.c_int(0)
        at = 0
        while True:
            rest = block[at:]
            used = self._library.nghttp2_hd_inflate_hd2(
                self._handle,
                ctypes.byref(pair),
                ctypes.byref(flags),
                rest,
                ctypes.c_size_t(len(rest)),
                1,
            )
            assert used >= 0, f"the server's header block is broken: {used}"
            at += used
            if flags.value & self._EMIT:
                found.append((pair.name[: pair.name_length], pair.value[: pair.value_length]))
            if flags.value & self._FINAL:
                self._library.nghttp2_hd_inflate_end_headers(self._handle)
                return found

    def close(self) -> None:
        self._library.nghttp2_hd_inflate_del(self._handle)


@dataclass
class Answer:
    """What has come on one stream."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    reset_code: int | None = None

    @property
    def status(self) -> int | None:
        """The gRPC status; None: none has come."""
        value = self.headers.get(b"grpc-status")
        return None if value is None else int(value)

    @property
    def http_status(self) -> int:
        return int(self.headers[b":status"])

    @property
    def text(self) -> str:
        return self.headers.get(b"grpc-message", b"").decode()

    @property
    def is_over(self) -> bool:
        return self.ended or self.reset_code is not None

    @property
    def messages(self) -> list[bytes]:
        return messages_of(bytes(self.body))


class RawClient:
    """One connection that does exactly what the test says, and acknowledges nothing by itself.

    Attributes:
        answers: By stream.
        goaway: Last stream and error code of a GOAWAY; None: none has come.
        acks: PING acknowledgements so far.
        is_closed: The server has closed the connection.
    """

    def __init__(self, address: tuple[str, int], *, receive_bytes: int = 0) -> None:
        self.socket: socket.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(20)
        self.socket.connect(address)
        self.answers: dict[int, Answer] = {}
        self.goaway: tuple[int, int] | None = None
        self.acks = 0
        self.is_closed = False
        self._inflater = Inflater()
        self._held = bytearray()

    def send(self, *parts: bytes) -> bool:
        """Send bytes; tell whether the server still takes them."""
        try:
            self.socket.sendall(b"".join(parts))
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def read(self) -> bool:
        """Read once; tell whether anything came."""
        try:
            raw = self.socket.recv(1 << 20)
        except ConnectionResetError:
            raw = b""
        self.is_closed = not raw
        self._held += raw
        for kind, flags, stream_id, payload in self._frames():
            self._see(kind, flags, stream_id, payload)
        return bool(raw)

    def answer(self, stream_id: int) -> Answer:
        """Read until a stream is over or the server closes."""
        while not (stream_id in self.answers and self.answers[stream_id].is_over) and self.read():
            pass
        return self.answers.setdefault(stream_id, Answer())

    def read_to_end(self) -> None:
        """Read until the server closes."""
        while self.read():
            pass

    def end(self) -> None:
        """Send nothing more; answers may still come."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.socket.close()
        self._inflater.close()

    def close_abruptly(self) -> None:
        """Close with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        at = 0
        while len(self._held) - at >= FRAME_HEADER_BYTES:
            size = int.from_bytes(self._held[at : at + 3])
            end = at + FRAME_HEADER_BYTES + size
            if len(self._held) < end:
                break
            kind, flags = self._held[at + 3], self._held[at + 4]
            stream_id = int.from_bytes(self._held[at + 5 : at + 9])
            yield kind, flags, stream_id, bytes(self._held[at + FRAME_HEADER_BYTES : end])
            at = end
        del self._held[:at]

    def _see(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id != 0 and kind in (DATA, HEADERS, RST_STREAM):
            self._see_answer(kind, flags, stream_id, payload)
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[:4]), int.from_bytes(payload[4:8])
        elif kind == PING and flags & ACK:
            self.acks += 1

    def _see_answer(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        answer = self.answers.setdefault(stream_id, Answer())
        if kind == HEADERS:
            assert flags & END_HEADERS, "this server's headers are short"
            answer.headers.update(self._inflater.decode(payload))
        elif kind == DATA:
            answer.body += payload
        else:
            answer.reset_code = int.from_bytes(payload)
        if kind != RST_STREAM and flags & END_STREAM:
            answer.ended = True
