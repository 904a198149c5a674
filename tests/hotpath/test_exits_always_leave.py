"""Whatever is breached, tripped, halted, stale or killed for new risk: an exit leaves.

Only a kill of everything stops it.
"""

import os
import sys
from typing import Any, Final

import numpy as np
import pytest

from server.engine import Engine
from server.hotpath.layout import CHANGE_EQUITY, CHANGE_KILL, NOT_SET, SECOND_NS, text, words
from server.hotpath.reasons import R_KILL_ALL, R_KILL_NEW_RISK, S_DENY, S_PASS
from server.hotpath.records import (
    DECIDED,
    HAS_REQUESTED_LOTS,
    REPORT,
    REPORT_HAS_LOTS,
    REPORT_HAS_PRICE,
    REPORT_UNMATCHED,
    REQUEST,
)
from server.hotpath.table import find_nb
from tests.cases import Change, Decide, World
from tests.cases.markets import LEVER, MARKETS
from tests.cases.names import ACCOUNTS, IDENTITIES, PROVIDERS, STRATEGIES
from tests.cases.world import ROOMY

SEED: Final = 20_261_107
CAMPAIGN: Final = os.environ.get("RISKGATE_CAMPAIGN") == "1"
STATES: Final = 100_000 if CAMPAIGN else 4_000
STATES_PER_WORLD: Final = 1_000
DENY, FILL = 3, 3
INSTRUMENT, ACCOUNT, CONFIGURATION, BREAKER, WINDOW, EQUITY, KILL = 1, 2, 3, 7, 10, 13, 16
PROVIDER: Final = 4  # scope of a kill
Rows = Any


def _text(rows: Rows, column: str) -> str:
    return text(rows[column][0])


def _row_of(table: Any, column: str, name: str) -> int:
    width = table.rows.dtype[column].shape[0]
    return int(find_nb(table.record[0], words(name, width), width))


class Trouble:
    """A random world whose engine gets into every kind of trouble."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.rng = np.random.default_rng([seed, 2])
        self.engine = Engine(ROOMY, epoch=1, started_at_ns=self.world.started_at_ns)
        self.changes = self.world._changes
        self.clock = self.world.started_at_ns
        self.reports = 0
        self.denied_new_risk = 0
        for event in self.world.initial_changes():
            self._take(event)

    def one(self, choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def hits(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def _take(self, event: Any) -> None:
        self.clock = max(self.clock, event.reading_ns)
        if isinstance(event, Change):
            if event.kind != KILL:
                self.put(event.kind, event.rows, deleted=event.deleted)
        elif isinstance(event, Decide):
            self.engine.decide_record(event.row, self.clock)
        else:
            self.engine.report_record(event.row, self.clock)

    def put(self, kind: int, rows: Rows, *, deleted: bool = False) -> None:
        self.engine.apply_rows(kind, 1, rows, deleted=deleted, reading_ns=self.clock)

    # --- A state in which something is wrong ----------------------------------------------------

    def move_on(self) -> None:
        for _event in range(4):
            self._take(self.world.next_event())
        self.world.sequence = int(self.engine.state.engine[0]["sequence"])

    def get_into_trouble(self, account: int, market: int) -> None:
        """Breach some limits of an account and a market; the exit comes last."""
        for share, trouble in (
            (0.5, self._halt),
            (0.5, self._breach_limits),
            (0.5, self._trip_a_breaker),
            (0.4, self._close_the_market),
            (0.6, self._kill_new_risk),
            (0.3, self._lose_money),
            (0.2, self._lose_inputs),
        ):
            if self.hits(share):
                trouble(account, market)
        self.clock += self.one((0, 0, 1, 3 * SECOND_NS, 31 * SECOND_NS, 90_000 * SECOND_NS))

    def _halt(self, account: int, _market: int) -> None:
        rows = self.changes._account(account, self.clock)
        rows["trading_state"] = self.one((2, 3))
        self.put(ACCOUNT, rows)

    def _breach_limits(self, account: int, _market: int) -> None:
        rows = self.changes._configuration(account)
        for name in rows.dtype.names or ():
            if name.startswith(("max_", "daily", "weekly", "monthly", "position_max")):
                rows[name] = self.one((1, NOT_SET) if name.endswith("_ppm") else (0, 1))
        rows["message_limit"], rows["message_window_ns"] = 1, 100 * SECOND_NS
        rows["repeat_limit"], rows["duplicate_window_ns"] = 1, 100 * SECOND_NS
        rows["restricted"] = 1
        self.put(CONFIGURATION, rows, deleted=self.hits(0.2))

    def _trip_a_breaker(self, account: int, _market: int) -> None:
        rows = self.changes._breakers.row(account + len(ACCOUNTS) * int(self.rng.integers(7)))
        rows["enabled"], rows["action"] = 1, self.one((1, 2, 4))
        rows["lock_after_trips"] = self.one((0, 1))
        for scope in ("symbol", "exchange", "provider", "strategy"):
            rows[f"{scope}_count"] = 0
        rows["threshold"] = -1
        self.put(BREAKER, rows)

    def _close_the_market(self, _account: int, market: int) -> None:
        rows = self.changes._instrument(market, fresh=True)
        rows["restricted"] = 1
        rows["hours_count"], rows["hours_close_minute"] = 1, 0
        rows["collar_ppm"] = rows["collar_window_ppm"] = 1
        self.put(INSTRUMENT, rows)

    def _lose_money(self, account: int, _market: int) -> None:
        rows = np.zeros(1, CHANGE_EQUITY)
        rows["account_id"] = words(ACCOUNTS[account].name)
        rows["equity_micros"] = ACCOUNTS[account].equity_micros * self.one((0, 1, 7, -1)) // 10
        rows["equity_at_ns"] = self.clock
        self.put(EQUITY, rows)

    def _lose_inputs(self, account: int, _market: int) -> None:
        rows = self.changes._window(account, self.clock)
        for name in ("day", "week", "month"):
            rows[f"{name}_start_ns"] = rows[f"{name}_next_ns"] = 0
        self.put(WINDOW, rows)

    def _kill_new_risk(self, account: int, market: int) -> None:
        names = ("", ACCOUNTS[account].name, self.one(IDENTITIES))
        provider, kind = self.one(PROVIDERS)
        scope = int(self.rng.integers(1, 7))
        name = (*names, provider, MARKETS[market].symbol, self.one(STRATEGIES))[scope - 1]
        self.put(KILL, self._kill(scope, kind if scope == PROVIDER else 0, name, "new_risk"))

    def _kill(self, scope: int, kind: int, name: str, what: str) -> Rows:
        rows = np.zeros(1, CHANGE_KILL)
        rows["scope"], rows["provider_type"], rows["name"] = scope, kind, words(name)
        self.clock += 1  # newer than any re-arming
        rows[f"{what}_killed_at_ns"] = self.clock
        return rows

    # --- The exit -------------------------------------------------------------------------------

    def exit_row(self, account: int, market: int) -> Rows:
        """Return an exit from a position that has free lots; it is opened if there is none."""
        position_id = self.one(("", "", "pos-1"))
        net, free = self._free_steps(account, market, position_id)
        if free <= 0:
            self._open(account, market, position_id)
            net, free = self._free_steps(account, market, position_id)
        assert free > 0
        facts, rows = MARKETS[market], np.zeros(1, REQUEST)
        rows["account_id"] = words(ACCOUNTS[account].name)
        rows["symbol"] = words(facts.symbol, 4)
        rows["position_id"] = words(position_id)
        rows["side"] = 2 if net > 0 else 1
        rows["reduce_only"] = 1
        rows["dry_run"] = self.hits(0.5)
        rows["identity"] = words(self.one((*IDENTITIES, "")))
        if self.hits(0.5):
            provider = self.one(PROVIDERS)
            rows["provider_id"], rows["provider_type"] = words(provider[0]), provider[1]
        if self.hits(0.5):
            rows["strategy_id"] = words(self.one(STRATEGIES))
        if self.hits(0.5):
            steps = self.one((1, free, int(self.rng.integers(1, free + 1)), 2 * free))
            rows["requested_lots"] = min(steps, 10**9) * facts.lot_mantissa / facts.lot_scale
            rows["present"] = HAS_REQUESTED_LOTS
        return rows

    def _free_steps(self, account: int, market: int, position_id: str) -> tuple[int, int]:
        state, wanted = self.engine.state, words(position_id)
        instrument = _row_of(state.instruments, "symbol", MARKETS[market].symbol)
        row = state.accounts.rows[_row_of(state.accounts, "account_id", ACCOUNTS[account].name)]
        at = int(row["first_position"])
        while at:
            position = state.positions.rows[at]
            named = (position["position_id"] == wanted).all()
            if named and position["instrument_row"] == instrument:
                net = int(position["net_steps"])
                return net, abs(net) - int(position["working_exit_steps"])
            at = int(position["next_position"])
        return 0, 0

    def _open(self, account: int, market: int, position_id: str) -> None:
        """Let the broker report a fill of an order that nobody knows."""
        net, free = self._free_steps(account, market, position_id)
        facts, row = MARKETS[market], np.zeros(1, REPORT)
        self.reports += 1
        row["account_id"] = words(ACCOUNTS[account].name)
        row["report_id"] = words(f"opened-{self.reports}")
        row["symbol"] = words(facts.symbol, 4)
        row["position_id"] = words(position_id)
        row["kind"], row["side"] = FILL, (1 if net > 0 else 2) if net else self.one((1, 2))
        row["present"] = REPORT_HAS_LOTS | REPORT_HAS_PRICE
        row["lots"] = (3 - free) * facts.lot_mantissa / facts.lot_scale
        row["price"] = facts.centre_ticks * facts.tick_mantissa / facts.tick_scale
        result = self.engine.report_record(row[0], self.clock)
        assert result["outcome"] == REPORT_UNMATCHED

    def is_refused(self, rows: Rows) -> tuple[bool, Rows]:
        result, decision = self.engine.decide_record(rows[0], self.clock)
        assert result == DECIDED
        return decision["verdict"] == DENY, decision

    def kill_all(self, rows: Rows, account: int, market: int) -> Rows:
        """Kill everything in one scope of an order; return the kill."""
        provider, kind = self.one(PROVIDERS)
        if rows["provider_id"].any():
            provider, kind = _text(rows, "provider_id"), int(rows["provider_type"][0])
        names = (
            "",
            ACCOUNTS[account].name,
            _text(rows, "identity") or self.one(IDENTITIES),
            provider,
            MARKETS[market].symbol,
            _text(rows, "strategy_id") or self.one(STRATEGIES),
        )
        scope = int(self.rng.integers(1, 7))
        kill = self._kill(scope, kind if scope == PROVIDER else 0, names[scope - 1], "all")
        self.put(KILL, kill)
        return kill

    def rearm(self, kill: Rows) -> None:
        kill["all_rearmed_at_ns"] = self.clock
        self.put(KILL, kill)

    def restore(self, account: int, market: int) -> None:
        """Make sure that account and instrument are there, in whatever condition."""
        self.put(INSTRUMENT, self.changes._instrument(market))
        self.put(ACCOUNT, self.changes._account(account, self.clock))


def _exits_refused(seed: int, states: int) -> tuple[int, int, int, int]:
    """Return states, exits refused, exits that a kill of all let through, kills that held."""
    trouble = Trouble(seed)
    refused = let_through = new_risk_killed = 0
    for _state in range(states):
        trouble.move_on()
        account = int(trouble.rng.integers(len(ACCOUNTS)))
        # Lots of the far market are beyond all sums of money.
        market = int(trouble.rng.integers(LEVER))
        trouble.restore(account, market)
        rows = trouble.exit_row(account, market)
        trouble.get_into_trouble(account, market)
        denied, decision = trouble.is_refused(rows)
        refused += denied
        assert decision["status"][R_KILL_NEW_RISK] == S_PASS
        engine = trouble.engine.state.engine[0]
        new_risk_killed += bool(engine["kills_of_new_risk"].any())
        # What it holds now is what it has asked for: ask anew.
        rows = trouble.exit_row(account, market)
        kill = trouble.kill_all(rows, account, market)
        denied, decision = trouble.is_refused(rows)
        let_through += not denied or decision["status"][R_KILL_ALL] != S_DENY
        trouble.rearm(kill)
    return states, refused, let_through, new_risk_killed


@pytest.mark.timeout(0 if CAMPAIGN else 600)
def test_exits_always_leave_and_a_kill_of_all_stops_them() -> None:
    sums = np.zeros(4, np.int64)
    for number in range(STATES // STATES_PER_WORLD):
        sums += _exits_refused(SEED + number, STATES_PER_WORLD)
    states, refused, let_through, new_risk_killed = sums.tolist()
    sys.stdout.write(f"seed {SEED}: {states:,} states, {refused} exits refused\n")
    assert refused == 0
    assert let_through == 0
    assert new_risk_killed > states // 4
