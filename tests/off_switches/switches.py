"""All off-switches: controls in Python that can be taken away, and which test would turn red.

Nothing under server/hotpath is among them, where every change is compiled for minutes.
"""

from typing import Final

from tests.off_switches.approval_switches import ARTIFACTS, MODELS, STATEMENTS
from tests.off_switches.port_switches import CONTROL, DECISIONS, SECRETS
from tests.off_switches.record_switches import AUDIT, FEED, LEDGER
from tests.off_switches.switch import Switch

SWITCHES: Final[tuple[Switch, ...]] = (
    *STATEMENTS,
    *ARTIFACTS,
    *MODELS,
    *CONTROL,
    *DECISIONS,
    *SECRETS,
    *AUDIT,
    *LEDGER,
    *FEED,
)
