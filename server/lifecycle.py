"""The lifecycle of a model version: which event leads from which status to which.

    registered → training → trained → testing → approved → shadow → canary → active → deprecated
    → archived; rejected and revoked on the side

Stages before the approval may be skipped: what is pushed may have been trained elsewhere. Nothing
becomes active but by an approval that is still good, and nothing leaves `revoked`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from server.errors import PreconditionError

Event = Literal[
    "push",
    "propose",
    "sign",
    "approve",
    "activate",
    "rollback",
    "withdraw",
    "deprecate",
    "revoke",
    "move",
]

STATUSES: Final = (
    "registered",
    "training",
    "trained",
    "testing",
    "approved",
    "shadow",
    "canary",
    "active",
    "deprecated",
    "archived",
    "rejected",
    "revoked",
)
NEW: Final = "registered"

_CANDIDATES: Final = ("registered", "trained", "testing", "deprecated")
_STAYS: Final = {status: status for status in ("approved", "shadow", "canary")}

# What a person asks for by name: from where to where.
MOVES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "registered": ("training", "trained", "testing", "rejected"),
        "training": ("trained", "rejected"),
        "trained": ("testing", "rejected"),
        "testing": ("rejected",),
        "approved": ("shadow", "canary", "deprecated", "rejected"),
        "shadow": ("canary", "deprecated", "rejected"),
        "canary": ("deprecated", "rejected"),
        "deprecated": ("archived",),
        "rejected": ("archived",),
    }
)

# What follows from an event that has a method of its own: from where to where.
STEPS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        # A new proposal has no signatures yet, so nothing is approved any more.
        "propose": {status: status for status in _CANDIDATES} | _STAYS | {"approved": "testing"},
        # A signature that is not enough yet.
        "sign": {status: status for status in _CANDIDATES} | _STAYS,
        # The signature that completes an approval.
        "approve": dict.fromkeys(_CANDIDATES, "approved") | _STAYS,
        "activate": dict.fromkeys(("approved", "shadow", "canary"), "active"),
        # Of the version that is gone back to; it was active before.
        "rollback": dict.fromkeys(
            ("testing", "approved", "shadow", "canary", "deprecated"), "active"
        ),
        # Of the version that was active until then: gone back from, or replaced.
        "withdraw": {"active": "deprecated"},
        "deprecate": {"active": "deprecated"},
        "revoke": {status: "revoked" for status in STATUSES if status != "revoked"},
    }
)


def next_status(event: Event, status: str, target: str = "") -> str:
    """Return the status that an event leads to.

    Args:
        event: What happens.
        status: Of the version now; empty: it is not registered yet.
        target: Of a "move": where to.

    Raises:
        PreconditionError: The lifecycle has no such step.
    """
    if event == "push" and not status:
        return NEW
    if event == "move":
        after = target if target in MOVES.get(status, ()) else None
    else:
        after = STEPS.get(event, {}).get(status)
    if after is None:
        words = f"move to {target}" if event == "move" else event
        raise PreconditionError(f"a model that is {status or 'unknown'} has no step {words}")
    return after
