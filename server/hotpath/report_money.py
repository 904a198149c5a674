"""The money of a report: profit, loss and commission move the equity, losses are counted."""

from __future__ import annotations

from typing import Any

import numpy as np

from server.hotpath.breakers import close_won_breakers_nb
from server.hotpath.jit import i64, routine
from server.hotpath.layout import EQUITY_MICROS_MAX, MICROS
from server.hotpath.memory import (
    account_at,
    configuration_at,
    report_of,
)
from server.hotpath.records import (
    REPORT_HAS_COMMISSION,
    REPORT_HAS_PNL,
)


@routine
def settle_money_nb(state: Any, account_row: int, event_ns: int, now_ns: int) -> None:
    """Book profit, loss and commission, and count losses in a row."""
    report = report_of(state)
    account = account_at(state, account_row)
    pnl = i64(np.rint(report.realised_pnl * MICROS)) if report.present & REPORT_HAS_PNL else i64(0)
    fee = (
        i64(np.rint(report.commission * MICROS))
        if report.present & REPORT_HAS_COMMISSION
        else i64(0)
    )
    if event_ns > account.equity_at_ns:
        equity = account.equity_micros + pnl - fee
        account.equity_micros = min(max(equity, -EQUITY_MICROS_MAX), EQUITY_MICROS_MAX)
        account.peak_micros = max(account.peak_micros, account.equity_micros)
    if not report.present & REPORT_HAS_PNL:
        return
    if pnl >= 0:
        account.consecutive_losses = 0
        close_won_breakers_nb(state, account_row)
        return
    account.consecutive_losses += 1
    configuration = configuration_at(state, account_row)
    threshold = configuration.consecutive_loss_threshold
    if account.has_configuration != 0 and threshold > 0 and account.consecutive_losses >= threshold:
        account.cooling_until_ns = now_ns + configuration.cooling_off_ns
