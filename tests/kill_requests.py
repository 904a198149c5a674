"""Kills and re-armings as tests ask for them."""

from typing import Any

from riskgate.v1 import admin_pb2
from riskgate.v1 import kill_pb2 as pb

NEW_RISK = pb.KILL_MODE_NEW_RISK
ALL = pb.KILL_MODE_ALL
WHY = admin_pb2.ChangeNote(actor="ann", reason="the router runs wild")


def target(scope: str = "account", name: str = "A", provider_type: Any = 0) -> pb.KillTarget:
    number: Any = pb.KillScope.Value(f"KILL_SCOPE_{scope.upper()}")
    return pb.KillTarget(scope=number, name=name, provider_type=provider_type)


def kill(
    what: pb.KillTarget | None = None,
    mode: pb.KillMode = NEW_RISK,
    at_ns: int | None = None,
    note: admin_pb2.ChangeNote = WHY,
) -> pb.KillRequest:
    return pb.KillRequest(target=what or target(), mode=mode, killed_at_ns=at_ns, note=note)


def rearm(*what: pb.KillTarget, mode: pb.KillMode = NEW_RISK) -> pb.RearmRequest:
    return pb.RearmRequest(targets=what or [target()], mode=mode, note=WHY)
