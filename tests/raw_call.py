"""One call of gRPC by hand over Python's own TLS, which can be told any version and certificate."""

import socket
import ssl
import struct
import warnings
from pathlib import Path
from typing import Final, NamedTuple

VERSIONS: Final = ("TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3")
HEALTH_CHECK: Final = "/grpc.health.v1.Health/Check"
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_STREAM, _END_HEADERS = 1, 4


def client_context(version: str, ca: Path, own: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """Return a client that speaks one version of TLS, however old, and shows a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    context.set_alpn_protocols(["h2"])
    if own is not None:
        context.load_cert_chain(*own)
    return context


def shakes_hands(address: str, context: ssl.SSLContext) -> bool:
    """Tell whether the server begins to speak HTTP/2 behind the handshake."""
    return _talk(address, context, b"") != b""


def is_answered(address: str, context: ssl.SSLContext, path: str = HEALTH_CHECK) -> bool:
    """Tell whether a call with an empty request comes back with a message."""
    headers = {
        ":method": "POST",
        ":scheme": "https",
        ":path": path,
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    block = b"".join(_literal(name, value) for name, value in headers.items())
    call = _frame(_HEADERS, _END_HEADERS, 1, block) + _frame(_DATA, _END_STREAM, 1, bytes(5))
    received = _talk(address, context, call)
    return any(frame.kind == _DATA for frame in _frames(received))


def _talk(address: str, context: ssl.SSLContext, call: bytes) -> bytes:
    host, _, port = address.rpartition(":")
    received = b""
    try:
        with (
            socket.create_connection((host, int(port)), timeout=30) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            connection.sendall(_PREFACE + _frame(_SETTINGS, 0, 0, b"") + call)
            while piece := connection.recv(65_536):
                received += piece
                # Without a call, the first words of the server are all there is to wait for.
                if not call or any(frame.ends_call for frame in _frames(received)):
                    break
    except (ssl.SSLError, ConnectionError):
        pass
    return received


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, stream) + content


class _Frame(NamedTuple):
    kind: int
    flags: int
    stream: int

    @property
    def ends_call(self) -> bool:
        return self.stream == 1 and self.kind <= _HEADERS and bool(self.flags & _END_STREAM)


def _frames(received: bytes) -> list[_Frame]:
    """Return every whole frame."""
    found, place = [], 0
    while place + 9 <= len(received):
        length = int.from_bytes(received[place : place + 3])
        if place + 9 + length > len(received):
            break
        stream = int.from_bytes(received[place + 5 : place + 9]) & 0x7FFFFFFF
        found.append(_Frame(received[place + 3], received[place + 4], stream))
        place += 9 + length
    return found


def _literal(name: str, value: str) -> bytes:
    # A literal field without indexing and without Huffman coding; lengths below 127.
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
