"""One-time codes (TOTP, RFC 6238): which codes are right at an instant, and what one wrong costs.

pyotp computes the codes but remembers nothing. What was used, and how often somebody guessed, is
state of the record (`record/second_factor.py`); this module only judges.
"""

import hmac
import math
import re
from dataclasses import dataclass
from typing import Final, Literal

import pyotp

STEP_S: Final = 30
# Steps that an authenticator's clock may differ by, each way.
DRIFT_STEPS: Final = 1
WRONG_CODES_MAX: Final = 5
ISSUER: Final = "riskgate"
# 2025-01-01: a machine that claims an earlier time has lost it.
_EARLIEST_S: Final = 1_735_689_600
_LATEST_S: Final = 1 << 33
_CODE: Final = re.compile(r"[0-9]{6}", re.ASCII)

Verdict = Literal["right", "wrong", "used", "locked", "clock"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of one code.

    Attributes:
        verdict: Only `right` lets anybody in.
        last_step: Newest step that is used up after it.
        wrong_codes: Wrong ones in a row after it.
    """

    verdict: Verdict
    last_step: int
    wrong_codes: int


def make_secret() -> str:
    """Return a new secret of 160 bits in base 32."""
    return pyotp.random_base32()


def format_otpauth(secret: str, uri: str) -> str:
    """Return the otpauth:// URI that an authenticator reads."""
    # Some authenticators take a slash or a second colon for the end of the name.
    name = uri.removeprefix("spiffe://").replace("/", " ")
    return pyotp.TOTP(secret, interval=STEP_S).provisioning_uri(name=name, issuer_name=ISSUER)


def is_code(code: str) -> bool:
    """Tell whether it has the form of a code: six digits."""
    return _CODE.fullmatch(code) is not None


def judge_code(
    secret: str, code: str, *, now_s: float, last_step: int, wrong_codes: int
) -> Judgement:
    """Judge a code of the right form.

    A code is right once: its step must be newer than the newest one used. A clock that was set back
    can therefore only refuse. A used code is no guess and is not counted.

    Args:
        secret: In base 32.
        code: Six digits.
        now_s: Unix seconds.
        last_step: Newest step that is used up.
        wrong_codes: Wrong ones so far; from WRONG_CODES_MAX on every code is refused.
    """
    if wrong_codes >= WRONG_CODES_MAX:
        return Judgement("locked", last_step, wrong_codes)
    if not math.isfinite(now_s) or not _EARLIEST_S <= now_s < _LATEST_S:
        return Judgement("clock", last_step, wrong_codes)
    now_step = int(now_s) // STEP_S
    codes = pyotp.TOTP(secret, interval=STEP_S)
    for step in range(now_step - DRIFT_STEPS, now_step + DRIFT_STEPS + 1):
        if hmac.compare_digest(codes.at(step * STEP_S), code):
            if step <= last_step:
                return Judgement("used", last_step, wrong_codes)
            return Judgement("right", step, 0)
    return Judgement("wrong", last_step, wrong_codes + 1)
