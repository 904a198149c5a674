"""Random reports about recent orders: fills of every size, repeats, late and foreign ones."""

from typing import Any, Final

import numpy as np

from server.hotpath.layout import SECOND_NS, words
from server.hotpath.records import (
    REPORT,
    REPORT_HAS_COMMISSION,
    REPORT_HAS_CUMULATIVE,
    REPORT_HAS_LOTS,
    REPORT_HAS_PNL,
    REPORT_HAS_PRICE,
)
from tests.cases.markets import MARKETS, SYMBOL_WORDS_OF, UNKNOWN_SYMBOL
from tests.cases.names import ACCOUNTS
from tests.cases.requests import RequestMaker, order_id

Array = np.ndarray[Any, np.dtype[Any]]

_KINDS: Final = (1, 2, 3, 4, 5, 6, 7, 8)
_KIND_WEIGHTS: Final = (0.07, 0.2, 0.33, 0.04, 0.06, 0.03, 0.24, 0.03)
_STEPS: Final = (1.0, 1.0, 2.0, 3.0, 5.0, 8.0, 20.0, 2.5, 0.5)
_BAD: Final = (float("nan"), float("inf"), 0.0, -1.0, 1e308)
_CHUNK: Final = 512


class ReportMaker:
    """Hands out REPORT rows."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._made = 0
        self._kinds: list[int] = []
        self._draws: list[list[float]] = []

    def next_row(self, requests: RequestMaker, now_ns: int, sequence: int) -> Any:
        rng = self._rng
        if not self._draws:
            self._draws = rng.random((_CHUNK, 16)).tolist()
            self._kinds = rng.choice(_KINDS, _CHUNK, p=_KIND_WEIGHTS).tolist()
        draw, kind = self._draws.pop(), self._kinds.pop()
        back = 1 + int(12 * draw[0] ** 2) if draw[0] < 0.97 else 1 + int(400 * draw[1])
        number, account, market = requests.orders[max(0, len(requests.orders) - back)]
        row: Any = np.zeros(1, REPORT)[0]
        row["account_id"] = words(ACCOUNTS[account].name if account < len(ACCOUNTS) else "nobody")
        repeats = draw[2] < 0.04
        row["report_id"] = words(
            f"report-{self._made - int(20 * draw[3]) if repeats else self._made}"
        )
        self._made += not repeats
        if number >= 0 and draw[4] < 0.9:
            row["client_order_id"] = order_id(number)
        elif draw[4] < 0.95:
            row["decision_id"] = max(0, sequence - int(30 * draw[3]))
        row["kind"] = kind
        if draw[5] < 0.3 or number < 0:
            row["symbol"] = SYMBOL_WORDS_OF[market] if draw[5] < 0.29 else UNKNOWN_SYMBOL
            row["side"] = 1 + (draw[6] < 0.5)
            if number < 0:
                row["symbol"] = SYMBOL_WORDS_OF[market]
        if draw[7] < 0.3:
            row["position_id"] = words("pos-1" if draw[7] < 0.2 else "pos-2")
        self._fill_numbers(row, kind, market, draw)
        self._fill_money(row, kind, account, draw)
        if draw[15] < 0.2:
            row["event_time_ns"] = now_ns + int((draw[15] - 0.15) * 20 * SECOND_NS)
        if draw[15] > 0.985:
            self._spoil(row)
        return row

    def _fill_numbers(self, row: Any, kind: int, market: int, draw: list[float]) -> None:
        facts = MARKETS[market]
        lot = facts.lot_mantissa / facts.lot_scale
        present = 0
        if kind in (2, 3, 7):
            present = REPORT_HAS_LOTS
            row["lots"] = _STEPS[int(len(_STEPS) * draw[8])] * lot
            if draw[9] < 0.25:
                present = REPORT_HAS_CUMULATIVE | (REPORT_HAS_LOTS if draw[9] < 0.1 else 0)
                row["cumulative_lots"] = int(1 + 10 * draw[10]) * lot
            if draw[11] < (0.85 if kind == 7 else 0.985):
                present |= REPORT_HAS_PRICE
                ticks = (
                    facts.centre_ticks + int(60 * draw[12]) - 30 + (0.3 if draw[11] < 0.03 else 0)
                )
                row["price"] = ticks * facts.tick_mantissa / facts.tick_scale
        row["present"] = present

    def _fill_money(self, row: Any, kind: int, account: int, draw: list[float]) -> None:
        if kind == 7 or draw[13] < 0.05:
            row["present"] |= REPORT_HAS_PNL
            units = ACCOUNTS[min(account, len(ACCOUNTS) - 1)].equity_micros / 1e6
            size = units * 0.004 * draw[14] if draw[13] > 0.01 else units * 0.3
            sign = 0 if draw[12] < 0.03 else (1 if draw[12] < 0.5 else -1)
            row["realised_pnl"] = sign * round(size, 2)
        if draw[14] < 0.3:
            row["present"] |= REPORT_HAS_COMMISSION
            row["commission"] = round(7 * draw[14], 2)

    def _spoil(self, row: Any) -> None:
        rng = self._rng
        name, bit = (
            ("lots", REPORT_HAS_LOTS),
            ("price", REPORT_HAS_PRICE),
            ("cumulative_lots", REPORT_HAS_CUMULATIVE),
            ("realised_pnl", REPORT_HAS_PNL),
            ("commission", REPORT_HAS_COMMISSION),
        )[int(rng.integers(5))]
        choice = int(rng.integers(10))
        if choice < 6:
            row[name] = _BAD[int(rng.integers(len(_BAD)))]
            row["present"] |= bit
        elif choice == 6:
            row["kind"] = (0, 9, -1)[int(rng.integers(3))]
        elif choice == 7:
            row["report_id"] = 0
        elif choice == 8:
            row["account_id"] = 0
        else:
            row["present"] = 0
