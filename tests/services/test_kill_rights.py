"""Who may kill, and what letting orders go again takes: right, group, reason and one-time code."""

from pathlib import Path
from typing import Any, Final

import grpc
import pyotp

from riskgate.v1 import identity_pb2, identity_pb2_grpc, kill_pb2_grpc
from riskgate.v1 import kill_pb2 as pb
from tests.control_harness import refusal
from tests.kill_requests import kill, rearm, target
from tests.trusted_control import (
    ADMIN,
    ANALYST,
    AUDITOR,
    TRADER,
    TrustedControl,
    play_trusted,
)

SENIOR: Final = "spiffe://riskgate/risk_analyst/risk_senior/sue"
DENIED: Final = grpc.StatusCode.PERMISSION_DENIED


def test_a_kill_needs_a_role_and_no_code_a_rearming_needs_all_of_it(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        def kills(uri: str) -> Any:
            return kill_pb2_grpc.KillServiceStub(parts.channel(uri))

        for uri in (TRADER, AUDITOR):
            assert (await refusal(kills(uri).Kill(kill())))[0] is DENIED
        assert (await kills(ANALYST).Kill(kill(target(name="A")))).latched
        assert (await kills(ADMIN).Kill(kill(target(name="B")))).latched
        for uri in (ADMIN, ANALYST, TRADER, AUDITOR):
            assert (await refusal(kills(uri).Rearm(rearm(target(name="A")))))[0] is DENIED

        channel = parts.channel(SENIOR)
        senior: Any = kill_pb2_grpc.KillServiceStub(channel)
        code, text, _ = await refusal(senior.Rearm(rearm(target(name="A"))))
        assert (code, text) == (DENIED, "a valid one-time code is required: no code was sent")
        identities: Any = identity_pb2_grpc.IdentityServiceStub(channel)
        enrolled = await identities.EnrollSecondFactor(identity_pb2.EnrollSecondFactorRequest())
        codes: Any = pyotp.parse_uri(enrolled.otpauth_uri)
        with_code = [("riskgate-otp", codes.now())]
        unexplained = pb.RearmRequest(targets=[target(name="A")])
        code, _, field = await refusal(senior.Rearm(unexplained, metadata=with_code))
        assert (code, field) == (grpc.StatusCode.INVALID_ARGUMENT, "note.reason")
        both = rearm(target(name="A"), target(name="B"))
        answer = await senior.Rearm(both, metadata=with_code)
        assert not any(each.stops_new_risk for each in answer.kill_switches)
        assert answer.kill_switches[0].events[0].caller == SENIOR
        await senior.Kill(kill(target(name="A")))
        again = await refusal(senior.Rearm(rearm(target(name="A")), metadata=with_code))
        assert again[0] is DENIED

    play_trusted(database_url, redis_url, tmp_path, scenario)
