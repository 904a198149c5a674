import os
import select
import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pytest
from cryptography import x509

from server.hotpath.lane.judging import (
    ACCEPTED,
    CELLS,
    DER_BYTES_MAX,
    JUDGEMENT,
    NO_CELL,
    TOO_LONG,
    ask_nb,
    collect_nb,
)
from server.security.certificate_judge import CertificateJudge
from server.security.grants import Grants
from server.security.peer_certificate import Finding
from tests.certificates import CLIENT_URI, DAY, Authority
from tests.grant_records import grant_of, identity_of

ANSWER_TIMEOUT_S: Final = 10.0


class Asker:
    """The lane's side of the board."""

    def __init__(self) -> None:
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.grants = Grants("riskgate")
        self.judge = CertificateJudge(self.grants, lambda: os.eventfd_write(self.wake_fd, 1))
        self._judgement = np.zeros(1, JUDGEMENT)

    def ask(self, connection: int, der: bytes, serial: int = 1) -> int:
        memory = np.frombuffer(der or b"\0", np.uint8)
        board = self.judge.board_address
        number = int(ask_nb(board, connection, serial, memory.ctypes.data, len(der)))
        os.eventfd_write(int(self.judge.board.record["asked_fd"][0]), 1)
        return number

    def collect(self) -> Any | None:
        if not collect_nb(self.judge.board_address, self._judgement.ctypes.data):
            return None
        return self._judgement[0].copy()

    def wait(self, count: int) -> list[Any]:
        """Collect that many judgements, woken by the judge."""
        found: list[Any] = []
        ends_at_s = time.monotonic() + ANSWER_TIMEOUT_S
        while len(found) < count:
            assert time.monotonic() < ends_at_s
            select.select([self.wake_fd], [], [], ANSWER_TIMEOUT_S)
            os.eventfd_read(self.wake_fd)
            while (judgement := self.collect()) is not None:
                found.append(judgement)
        return found


@pytest.fixture
def asker() -> Iterator[Asker]:
    asker = Asker()
    yield asker
    asker.judge.stop()
    os.close(asker.wake_fd)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def text_of(judgement: Any) -> str:
    return identity_of(int(judgement["grant"]))


def trader(number: int) -> str:
    return f"spiffe://riskgate/trader/desk-{number}"


def test_judge_when_asked_by_the_lane_then_answers_and_wakes_it(
    asker: Asker, authority: Authority
) -> None:
    asker.judge.start()
    issued = authority.issue_client()
    assert asker.ask(77, issued.der, serial=5) == 0
    (judgement,) = asker.wait(1)
    assert (judgement["connection"], judgement["serial"]) == (77, 5)
    assert judgement["verdict"] == ACCEPTED
    assert text_of(judgement) == CLIENT_URI
    end_s = int(issued.certificate.not_valid_after_utc.timestamp())
    assert grant_of(judgement["grant"])["not_after_ns"] == end_s * 1_000_000_000
    assert asker.judge.findings == {Finding.ACCEPTED: 1}


def test_judge_when_a_good_one_is_followed_by_a_bad_one_then_nothing_of_it_is_left(
    asker: Asker, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    asker.judge.start()
    asker.ask(1, authority.issue_client().der)
    (good,) = asker.wait(1)
    assert asker.ask(2, authority.issue(ends=-DAY / 2).der) == 0
    (bad,) = asker.wait(1)
    assert good["verdict"] == ACCEPTED
    assert bad["verdict"] == Finding.EXPIRED
    assert bad["grant"] == 0
    assert "refused: expired" in caplog.text


def test_judge_when_it_fails_itself_then_the_certificate_is_refused(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    def broken_clock() -> int:
        raise OSError("no clock")

    asker = Asker()
    asker.judge._read_clock_ns = broken_clock
    asker.ask(1, authority.issue_client().der)
    assert asker.judge.judge_waiting() == 1
    judgement = asker.collect()
    assert judgement is not None
    assert judgement["verdict"] == Finding.FAULT
    assert "no clock" in caplog.text
    asker.judge.stop()
    os.close(asker.wake_fd)


def test_board_when_nothing_was_asked_then_nothing_is_collected(asker: Asker) -> None:
    assert asker.collect() is None
    assert asker.judge.judge_waiting() == 0


def test_board_when_it_is_full_then_refuses_and_takes_again_after_a_judgement(
    asker: Asker, authority: Authority
) -> None:
    ders = [
        authority.issue(names=[x509.UniformResourceIdentifier(trader(number))]).der
        for number in range(4)
    ]
    for number in range(CELLS):
        assert asker.ask(number, ders[number % 4]) == number
    assert asker.ask(999, ders[0]) == NO_CELL
    assert asker.collect() is None, "nobody has judged yet"
    assert asker.judge.judge_waiting() == CELLS
    assert asker.judge.judge_waiting() == 0, "each is judged once"
    first = asker.collect()
    assert first is not None
    assert asker.ask(999, ders[1]) >= 0
    rest = []
    while (judgement := asker.collect()) is not None:
        rest.append(judgement)
    found = {int(each["connection"]): text_of(each) for each in [first, *rest]}
    assert found == {number: trader(number % 4) for number in range(CELLS)}
    assert asker.judge.judge_waiting() == 1
    last = asker.collect()
    assert last is not None
    assert (last["connection"], text_of(last)) == (999, trader(1))
    assert asker.judge.board.record["waiting"][0] == 0


@pytest.mark.parametrize("length", [0, DER_BYTES_MAX + 1])
def test_board_when_a_certificate_has_no_possible_size_then_it_is_not_taken(
    asker: Asker, length: int
) -> None:
    assert asker.ask(1, bytes(length)) == TOO_LONG
    assert asker.judge.judge_waiting() == 0


def test_board_when_a_certificate_has_the_greatest_size_then_it_is_judged(asker: Asker) -> None:
    asker.ask(1, b"\xff" * DER_BYTES_MAX)
    assert asker.judge.judge_waiting() == 1
    judgement = asker.collect()
    assert judgement is not None
    assert judgement["verdict"] == Finding.MALFORMED


def test_judge_when_many_ask_at_once_then_each_gets_its_own_answer(
    asker: Asker, authority: Authority
) -> None:
    asker.judge.start()
    ders = [
        authority.issue(names=[x509.UniformResourceIdentifier(trader(number))]).der
        for number in range(8)
    ]
    answers: dict[int, str] = {}
    asked, total = 0, 2_000
    ends_at_s = time.monotonic() + 60
    while len(answers) < total:
        assert time.monotonic() < ends_at_s
        while asked < total and asker.ask(asked, ders[asked % 8], serial=-asked) >= 0:
            asked += 1
        for judgement in asker.wait(1):
            assert judgement["serial"] == -judgement["connection"]
            answers[int(judgement["connection"])] = text_of(judgement)
    assert answers == {number: trader(number % 8) for number in range(total)}
