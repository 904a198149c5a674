"""The kill switch: requests to checked values. Control and engines read them the same way."""

import time
from collections.abc import Sequence
from typing import Any, Final

from riskgate.v1 import kill_pb2 as pb
from riskgate.v1 import types_pb2
from server.errors import InvalidFieldError
from server.forms import fields
from server.kill_rows import SCOPE_WORDS, Target
from server.note import Note

# How far the clock of whoever kills may run ahead of ours.
FUTURE_NS_MAX: Final = fields.FUTURE_S_MAX * 1_000_000_000
TARGETS_MAX: Final = 64
_PROVIDER_TYPES: Final = frozenset(
    {types_pb2.PROVIDER_TYPE_CHANNEL_SOURCE, types_pb2.PROVIDER_TYPE_USER}
)


def read_target(message: pb.KillTarget, path: str = "target") -> Target:
    """Return the target that a message names.

    Raises:
        InvalidFieldError: A part is missing, malformed, or does not belong to the scope.
    """
    scope = message.scope
    if scope not in SCOPE_WORDS:
        raise InvalidFieldError(f"{path}.scope", "is unknown" if scope else "is required")
    if scope == pb.KILL_SCOPE_PROVIDER:
        if message.provider_type not in _PROVIDER_TYPES:
            raise InvalidFieldError(f"{path}.provider_type", "is required for a provider")
    elif message.provider_type:
        raise InvalidFieldError(f"{path}.provider_type", "belongs to the scope provider alone")
    if scope == pb.KILL_SCOPE_GLOBAL:
        if message.name:
            raise InvalidFieldError(f"{path}.name", "must be empty for the scope global")
        return Target(scope, 0, "")
    read = fields.symbol if scope == pb.KILL_SCOPE_SYMBOL else fields.identifier
    return Target(scope, message.provider_type, read(message.name, "name", path=path))


def read_targets(messages: Sequence[pb.KillTarget]) -> list[Target]:
    """Return the targets that a request names, each once.

    Raises:
        InvalidFieldError: There are none or too many, or one is malformed or named twice.
    """
    if not 1 <= len(messages) <= TARGETS_MAX:
        raise InvalidFieldError("targets", f"must be 1 to {TARGETS_MAX}")
    found = [read_target(each, f"targets[{index}]") for index, each in enumerate(messages)]
    if len(set(found)) < len(found):
        raise InvalidFieldError("targets", "must differ")
    return found


def read_mode(mode: int) -> int:
    """Return KILL_MODE_NEW_RISK or KILL_MODE_ALL.

    Raises:
        InvalidFieldError: It is another number.
    """
    if mode == pb.KILL_MODE_UNSPECIFIED:
        return pb.KILL_MODE_NEW_RISK
    if mode not in {pb.KILL_MODE_NEW_RISK, pb.KILL_MODE_ALL}:
        raise InvalidFieldError("mode", "is unknown")
    return mode


def read_killed_at(request: pb.KillRequest, rearmed_at_ns: int) -> int:
    """Return when the kill was, Unix nanoseconds: as it says, else so that it holds.

    Args:
        request: May name a time.
        rearmed_at_ns: Newest re-arming that is known here.

    Raises:
        InvalidFieldError: The time is not positive, or lies too far ahead.
    """
    now_ns = time.time_ns()
    if not request.HasField("killed_at_ns"):
        return max(now_ns, rearmed_at_ns + 1)
    if not 0 < request.killed_at_ns <= now_ns + FUTURE_NS_MAX:
        raise InvalidFieldError("killed_at_ns", "must lie behind 1970 and at most a minute ahead")
    return request.killed_at_ns


def read_note(request: Any) -> Note:
    """Return who asks and why; a reason is required.

    Raises:
        InvalidFieldError: There is no reason, or it is too long.
    """
    note = fields.note(request)
    if not note.reason.strip():
        raise InvalidFieldError("note.reason", "is required")
    return note
