"""All off-switches: controls that can be taken away, and which test would turn red.

Those under server/hotpath come last: each is compiled for minutes.
"""

from typing import Final

from tests.off_switches.approval_switches import ARTIFACTS, MODELS, STATEMENTS
from tests.off_switches.assessment_switches import ASSESSMENT
from tests.off_switches.breaker_switches import BREAKERS
from tests.off_switches.directive_switches import DIRECTIVES, DIRECTIVES_COMPILED
from tests.off_switches.gateway_switches import GATEWAY
from tests.off_switches.kill_switches import KILL_SWITCH
from tests.off_switches.limit_switches import LIMITS
from tests.off_switches.order_control_switches import ORDER_CONTROLS
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
    *GATEWAY,
    *LIMITS,
    *KILL_SWITCH,
    *ASSESSMENT,
    *DIRECTIVES,
    *BREAKERS,
    *DIRECTIVES_COMPILED,
    *ORDER_CONTROLS,
)
