"""Stands between a client and PostgreSQL and cuts the line at a given byte of one COMMIT."""

import re
import socket
import threading
from pathlib import Path
from typing import Final, Self
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

# The query message: type, length, text. The answer: CommandComplete and ReadyForQuery.
COMMIT: Final = b"Q\0\0\0\x0bCOMMIT\0"
ANSWER_BYTES: Final = 12 + 6
_SOCKET_NAME: Final = ".s.PGSQL.5432"
_PIECE_BYTES: Final = 1 << 16


class CuttingProxy:
    """Forwards connections; `cut` arms it for the next COMMIT behind the marked statement.

    Args:
        url: Of a PostgreSQL on a Unix socket.
        folder: Where its own socket is made.
        mark: Text of a statement in the transaction that is meant.
    """

    def __init__(self, url: str, folder: Path, mark: bytes) -> None:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        self._upstream = str(Path(query["host"][0]) / f".s.PGSQL.{query['port'][0]}")
        self._mark = re.compile(re.escape(mark))
        self.url = urlunsplit(parts._replace(query=f"host={quote(str(folder), safe='')}&port=5432"))
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / _SOCKET_NAME))
        self._listener.listen()
        self._request_bytes: int | None = None
        self._answer_bytes: int | None = None
        self.cuts = 0
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def cut(self, *, request_bytes: int = len(COMMIT), answer_bytes: int | None = None) -> None:
        """Let so many bytes of the COMMIT through, and of its answer; None: it is not awaited."""
        self._request_bytes, self._answer_bytes = request_bytes, answer_bytes

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._upstream)
            line = threading.Thread(target=_Line(self, client, server).run)
            line.start()
            self._threads.append(line)

    def take_cut(self) -> tuple[int, int | None] | None:
        """Return the cut that is armed, which is then spent."""
        if self._request_bytes is None:
            return None
        armed = self._request_bytes, self._answer_bytes
        self._request_bytes = None
        self.cuts += 1
        return armed

    def is_marked(self, data: bytes) -> bool:
        """Tell whether a piece of the stream holds the marked statement."""
        return self._mark.search(data) is not None


class _Line:
    """One connection in both directions."""

    def __init__(self, proxy: CuttingProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self._is_marked = False
        self._answer_left: int | None = None

    def run(self) -> None:
        """Forward until either end hangs up or the line is cut."""
        answers = threading.Thread(target=self._forward_answers)
        answers.start()
        self._forward_requests()
        answers.join()
        self._client.close()
        self._server.close()

    def _forward_requests(self) -> None:
        seen = b""
        try:
            while piece := self._client.recv(_PIECE_BYTES):
                seen = (seen + piece)[-2 * _PIECE_BYTES :]
                self._is_marked = self._is_marked or self._proxy.is_marked(seen)
                at = piece.find(COMMIT)
                if at < 0 or not self._is_marked:
                    self._server.sendall(piece)
                    continue
                self._is_marked, seen = False, b""
                armed = self._proxy.take_cut()
                if armed is None:
                    self._server.sendall(piece)
                    continue
                request_bytes, self._answer_left = armed
                self._server.sendall(piece[: at + request_bytes])
                if self._answer_left is None:
                    break
        except OSError:
            pass
        self._hang_up()

    def _forward_answers(self) -> None:
        try:
            while piece := self._server.recv(_PIECE_BYTES):
                if self._answer_left is not None:
                    self._client.sendall(piece[: self._answer_left])
                    break
                self._client.sendall(piece)
        except OSError:
            pass
        self._hang_up()

    def _hang_up(self) -> None:
        for end in (self._client, self._server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
