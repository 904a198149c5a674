"""Rows S0-81, T15: which codes are right, at which instant, and how often."""

import math

import pyotp
import pytest

from server.security.one_time_codes import (
    STEP_S,
    WRONG_CODES_MAX,
    Verdict,
    format_otpauth,
    is_code,
    judge_code,
    make_secret,
)

SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
STEP = 60_000_000
NOW_S = STEP * STEP_S


def _code(step: int) -> str:
    return pyotp.TOTP(SEED).at(step * STEP_S)


def _judge(code: str, *, now_s: float = NOW_S, last_step: int = 0, wrong_codes: int = 0) -> Verdict:
    return judge_code(SEED, code, now_s=now_s, last_step=last_step, wrong_codes=wrong_codes).verdict


@pytest.mark.parametrize(
    ("now_s", "verdict"),
    [
        # The code of a step is right from one step before it begins until one step after it ended.
        (NOW_S - STEP_S - 0.001, "wrong"),
        (NOW_S - STEP_S, "right"),
        (NOW_S, "right"),
        (NOW_S + STEP_S - 0.001, "right"),
        (NOW_S + 2 * STEP_S - 0.001, "right"),
        (NOW_S + 2 * STEP_S, "wrong"),
        (NOW_S + 3_600, "wrong"),
        (NOW_S - 3_600, "wrong"),
    ],
)
def test_a_code_is_right_in_its_own_step_and_the_two_beside_it(
    now_s: float, verdict: Verdict
) -> None:
    assert _judge(_code(STEP), now_s=now_s) == verdict


def test_a_right_code_uses_up_its_step_and_all_before() -> None:
    judged = judge_code(SEED, _code(STEP), now_s=NOW_S, last_step=0, wrong_codes=3)
    assert (judged.verdict, judged.last_step, judged.wrong_codes) == ("right", STEP, 0)
    for step in (STEP - 1, STEP):
        again = judge_code(SEED, _code(step), now_s=NOW_S, last_step=STEP, wrong_codes=0)
        assert (again.verdict, again.last_step, again.wrong_codes) == ("used", STEP, 0)
    assert _judge(_code(STEP + 1), last_step=STEP) == "right"


def test_a_clock_that_was_set_back_only_refuses() -> None:
    for back_s in (STEP_S, 600, 3_600, 86_400):
        step = (NOW_S - back_s) // STEP_S
        assert _judge(_code(step), now_s=NOW_S - back_s, last_step=STEP) == "used"


@pytest.mark.parametrize("now_s", [math.nan, math.inf, -math.inf, -1.0, 0.0, 1_500_000_000.0, 1e11])
def test_a_clock_that_cannot_be_right_refuses_and_counts_nothing(now_s: float) -> None:
    judged = judge_code(SEED, _code(0), now_s=now_s, last_step=0, wrong_codes=2)
    assert (judged.verdict, judged.last_step, judged.wrong_codes) == ("clock", 0, 2)


def test_the_fifth_wrong_code_locks_and_a_right_one_no_longer_helps() -> None:
    wrong_codes = 0
    for count in range(1, WRONG_CODES_MAX + 1):
        judged = judge_code(SEED, "000000", now_s=NOW_S, last_step=0, wrong_codes=wrong_codes)
        assert (judged.verdict, judged.wrong_codes) == ("wrong", count)
        wrong_codes = judged.wrong_codes
    locked = judge_code(SEED, _code(STEP), now_s=NOW_S, last_step=0, wrong_codes=wrong_codes)
    assert (locked.verdict, locked.last_step) == ("locked", 0)


@pytest.mark.parametrize(
    "text",
    ["", "12345", "1234567", "12345a", " 12345", "123456\n", "１２３４５６", "٠١٢٣٤٥", "12 456"],
)
def test_only_six_ascii_digits_are_a_code(text: str) -> None:
    assert not is_code(text)


def test_secrets_are_160_bits_and_never_the_same() -> None:
    made = {make_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(len(pyotp.TOTP(secret).byte_secret()) == 20 for secret in made)


def test_an_authenticator_that_reads_the_uri_shows_the_codes_we_accept() -> None:
    uri = format_otpauth(SEED, "spiffe://riskgate/admin/anna")
    authenticator = pyotp.parse_uri(uri)
    assert isinstance(authenticator, pyotp.TOTP)
    assert (authenticator.issuer, authenticator.name) == ("riskgate", "riskgate admin anna")
    assert _judge(authenticator.at(NOW_S)) == "right"
