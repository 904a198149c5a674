"""The thread that judges client certificates for the compiled lane, once per connection.

It owns the board's eventfd and sleeps on it. Whatever goes wrong here refuses the certificate: the
lane opens a connection on ACCEPTED only.
"""

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from server.hotpath.lane.judging import CELLS, answer_nb, is_asked_nb, new_board
from server.security.grants import Grants
from server.security.peer_certificate import Finding, PeerRefusedError, judge

log = logging.getLogger(__name__)

_NO_GRANT: Final = 0


class CertificateJudge:
    """Answers what the lane asks.

    Args:
        grants: Knows what the holder of a good certificate may do.
        wake_lane: Called after answers were given; from the judge's thread.
        read_clock_ns: Unix nanoseconds.
    """

    def __init__(
        self,
        grants: Grants,
        wake_lane: Callable[[], None],
        *,
        read_clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._asked_fd = os.eventfd(0, os.EFD_CLOEXEC)
        self.board = new_board(self._asked_fd)
        self.findings: Counter[Finding] = Counter()
        self._address = int(self.board.record.ctypes.data)
        self._grants = grants
        self._wake_lane = wake_lane
        self._read_clock_ns = read_clock_ns
        self._stop_asked = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def board_address(self) -> int:
        """Address of the BOARD record, for the lane."""
        return self._address

    def start(self) -> None:
        """Judge from now on, in a thread of its own."""
        # Loads what compiled code there is, before the first connection waits for it.
        self.judge_waiting()
        self._thread = threading.Thread(target=self._run, name="certificates", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; only when the lane asks no more."""
        self._stop_asked.set()
        if self._thread is not None:
            os.eventfd_write(self._asked_fd, 1)
            self._thread.join()
        os.close(self._asked_fd)

    def judge_waiting(self) -> int:
        """Judge everything that was asked by now; return how many certificates that were."""
        asked = [number for number in range(CELLS) if is_asked_nb(self._address, number)]
        for number in asked:
            self._judge_cell(number)
        if asked:
            self._wake_lane()
        return len(asked)

    def _run(self) -> None:
        while not self._stop_asked.is_set():
            os.eventfd_read(self._asked_fd)
            try:
                self.judge_waiting()
            except Exception:
                log.exception("the judge of certificates goes on after a failure")

    def _judge_cell(self, number: int) -> None:
        cell = self.board.cells[number]
        finding, grant = self._find(bytes(cell["der"][: cell["der_length"]]))
        self.findings[finding] += 1
        answer_nb(self._address, number, int(finding), grant)

    def _find(self, der: bytes) -> tuple[Finding, int]:
        uri = ""
        try:
            peer = judge(der, self._read_clock_ns())
            uri = peer.uri
            if self._grants.is_barred(peer.serial):
                raise PeerRefusedError(Finding.REVOKED)
            return Finding.ACCEPTED, self._grants.row_for(uri, peer.not_after_ns, peer.serial)
        except PeerRefusedError as error:
            return self._refuse(uri, error.finding, str(error))
        except ValueError as error:
            # The certificate is good, but its URI names nobody of ours.
            return self._refuse("", Finding.UNUSABLE_IDENTITY, str(error))
        except Exception:
            log.exception("a client's certificate could not be judged")
            return Finding.FAULT, _NO_GRANT

    def _refuse(self, uri: str, finding: Finding, why: str) -> tuple[Finding, int]:
        log.warning("a client's certificate is refused: %s", why)
        self._grants.note_refused(uri, finding.name.lower())
        return finding, _NO_GRANT
