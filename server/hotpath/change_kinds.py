"""Numbers of riskgate.v1.ChangeKind, as kernels need them."""

from typing import Final

NO_CHANGE: Final = 0
INSTRUMENT: Final = 1
ACCOUNT: Final = 2
RISK_CONFIGURATION: Final = 3
PROVIDER: Final = 4
MARKET: Final = 5
CONVERSION_RATE: Final = 6
BREAKER: Final = 7
POLICY: Final = 8
MODEL: Final = 9
WINDOW: Final = 10
HEARTBEAT: Final = 11
CLOCK: Final = 12
EQUITY: Final = 13
SESSION: Final = 14
IDENTITY: Final = 15
KILL: Final = 16
STRATEGY: Final = 17
BREAKER_RESET: Final = 18
