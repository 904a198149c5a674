"""The kill switch (page, section 15)."""

from typing import Any

from tests.reference.rows import NO_ID, NO_SYMBOL

GLOBAL, ACCOUNT, CONNECTION, PROVIDER, SYMBOL, STRATEGY = range(1, 7)
NOTHING, NEW_RISK, ALL = 0, 1, 2
_TIMES = (
    "new_risk_killed_at_ns",
    "new_risk_rearmed_at_ns",
    "all_killed_at_ns",
    "all_rearmed_at_ns",
)

Key = tuple[int, int, bytes]


class Kills:
    """What is killed, by scope."""

    def __init__(self, rows_max: int) -> None:
        self.rows_max = rows_max
        self.times: dict[Key, list[int]] = {}
        self.lost = 0

    def put(self, row: Any) -> bool:
        """Merge one row; False if it names no scope or found no room."""
        if row.scope not in range(GLOBAL, STRATEGY + 1):
            return False
        key = (row.scope, row.provider_type, row.name)
        if key not in self.times and len(self.times) >= self.rows_max:
            self.lost += 1
            return False
        stored = self.times.get(key, [0, 0, 0, 0])
        given = (getattr(row, name) for name in _TIMES)
        self.times[key] = [max(pair) for pair in zip(stored, given, strict=True)]
        return True

    def active_scopes(self) -> set[int]:
        """Return the scopes in which something is killed."""
        return {
            scope
            for (scope, _kind, _name), times in self.times.items()
            if times[0] > times[1] or times[2] > times[3]
        }

    def worst(self, request: Any) -> int:
        """Return what of such an order is killed."""
        if self.lost:
            return ALL
        found = NOTHING
        scopes: dict[int, tuple[int, bytes]] = {
            ACCOUNT: (0, request.account_id),
            CONNECTION: (0, request.identity),
            PROVIDER: (request.provider_type, request.provider_id),
            SYMBOL: (0, request.symbol.ljust(len(NO_ID), b"\0")),
            STRATEGY: (0, request.strategy_id),
        }
        for (scope, kind, name), times in self.times.items():
            named = scopes.get(scope, (0, NO_ID))
            if named[1] in (NO_ID, NO_SYMBOL) or named == (kind, name):
                new_risk_killed, new_risk_rearmed, all_killed, all_rearmed = times
                if all_killed > all_rearmed:
                    return ALL
                if new_risk_killed > new_risk_rearmed:
                    found = NEW_RISK
        return found
