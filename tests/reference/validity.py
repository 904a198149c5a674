"""Which requests and reports get no answer, and which field is at fault (page, 3 and 6)."""

import math
from collections.abc import Callable
from typing import Any

from server.hotpath.records import (
    FIELDS,
    HAS_ATR,
    HAS_ENTRY_PRICE,
    HAS_REQUESTED_LOTS,
    HAS_STOP_LOSS,
    HAS_TAKE_PROFIT,
    HAS_VOLATILITY_INDEX,
    P_FINITE,
    P_PERCENT,
    P_POSITIVE,
    P_RANGE,
    P_REQUIRED,
    P_SIDE,
    REPORT_HAS_COMMISSION,
    REPORT_HAS_CUMULATIVE,
    REPORT_HAS_LOTS,
    REPORT_HAS_PNL,
    REPORT_HAS_PRICE,
)
from tests.reference.arithmetic import atr_ticks, lot_steps, price_ticks
from tests.reference.rows import NO_ID, NO_SYMBOL

Fault = tuple[int, int]

BUY, SELL = 1, 2
HIGHEST = {"side": 2, "provider_type": 2, "order_type": 4, "time_in_force": 4, "session": 5}
PARTIAL_FILL, FILL, CLOSE, UNKNOWN = 2, 3, 7, 8
MONEY_MAX = 1e12


def fault(field: str, problem: int) -> Fault:
    return FIELDS.index(field), problem


def has_unknown_enum(request: Any) -> bool:
    return any(not 0 <= getattr(request, name) <= top for name, top in HIGHEST.items())


def find_fault(request: Any, instrument: Any) -> Fault | None:
    """Return (field, problem) of the first bad field; `instrument` is None when it is unknown."""
    new_risk = request.reduce_only == 0
    for field, missing in (
        ("account_id", request.account_id == NO_ID),
        ("provider_id", new_risk and request.provider_id == NO_ID),
        ("provider_type", new_risk and request.provider_type == 0),
        ("symbol", request.symbol == NO_SYMBOL),
        ("side", request.side == 0),
    ):
        if missing:
            return fault(field, P_REQUIRED)
    return (
        _find_price_fault(request, instrument)
        or _find_number_fault(request, "requested_lots", HAS_REQUESTED_LOTS, instrument, _steps_fit)
        or _find_number_fault(request, "atr", HAS_ATR, instrument, _atr_fits)
        or _find_volatility_fault(request)
    )


def _find_price_fault(request: Any, instrument: Any) -> Fault | None:
    new_risk = request.reduce_only == 0
    if new_risk and not request.present & HAS_ENTRY_PRICE:
        return fault("entry_price", P_REQUIRED)
    on_grid: dict[str, float] = {}
    for field, bit in (
        ("entry_price", HAS_ENTRY_PRICE),
        ("stop_loss", HAS_STOP_LOSS),
        ("take_profit", HAS_TAKE_PROFIT),
    ):
        if not request.present & bit:
            continue
        price = getattr(request, field)
        if not math.isfinite(price):
            return fault(field, P_FINITE)
        if not price > 0:
            return fault(field, P_POSITIVE)
        on_grid[field] = price
        if instrument is not None:
            on_grid[field], problem = price_ticks(price, instrument)
            if problem:
                return fault(field, problem)
        if not new_risk or field == "entry_price" or request.side not in (BUY, SELL):
            continue
        below = on_grid[field] < on_grid["entry_price"]
        above = on_grid[field] > on_grid["entry_price"]
        wants_below = (request.side == BUY) == (field == "stop_loss")
        if not (below if wants_below else above):
            return fault(field, P_SIDE)
    return None


def _steps_fit(lots: float, instrument: Any) -> bool:
    return lot_steps(lots, instrument) is not None


def _atr_fits(atr: float, instrument: Any) -> bool:
    return atr_ticks(atr, instrument) > 0


def _find_number_fault(
    row: Any, field: str, bit: int, instrument: Any, fits: Callable[[float, Any], bool]
) -> Fault | None:
    if not row.present & bit:
        return None
    value = getattr(row, field)
    if not math.isfinite(value):
        return fault(field, P_FINITE)
    if not value > 0:
        return fault(field, P_POSITIVE)
    if instrument is not None and not fits(value, instrument):
        return fault(field, P_RANGE)
    return None


def _find_volatility_fault(request: Any) -> Fault | None:
    if not request.present & HAS_VOLATILITY_INDEX:
        return None
    if not math.isfinite(request.volatility_index):
        return fault("volatility_index", P_FINITE)
    if not 0 <= request.volatility_index <= 100:
        return fault("volatility_index", P_PERCENT)
    return None


def find_report_fault(report: Any) -> Fault | None:
    """Return the first field of a report that is bad whatever the state is."""
    if report.account_id == NO_ID:
        return fault("account_id", P_REQUIRED)
    if report.report_id == NO_ID:
        return fault("report_id", P_REQUIRED)
    if not 1 <= report.kind <= UNKNOWN:
        return fault("kind", P_REQUIRED)
    moves = report.kind in (PARTIAL_FILL, FILL, CLOSE)
    if moves and not report.present & (REPORT_HAS_LOTS | REPORT_HAS_CUMULATIVE):
        return fault("lots", P_REQUIRED)
    for field, bit in (
        ("lots", REPORT_HAS_LOTS),
        ("price", REPORT_HAS_PRICE),
        ("cumulative_lots", REPORT_HAS_CUMULATIVE),
    ):
        value = getattr(report, field)
        if field != "price" and not moves:
            continue
        if report.present & bit and not (math.isfinite(value) and value > 0):
            return fault(field, P_POSITIVE)
    return _find_missing(report) or _find_money_fault(report)


def _find_missing(report: Any) -> Fault | None:
    if report.kind in (PARTIAL_FILL, FILL) and not report.present & REPORT_HAS_PRICE:
        return fault("price", P_REQUIRED)
    if report.kind == CLOSE and not report.present & REPORT_HAS_PNL:
        return fault("realised_pnl", P_REQUIRED)
    return None


def _find_money_fault(report: Any) -> Fault | None:
    for field, bit in (
        ("realised_pnl", REPORT_HAS_PNL),
        ("commission", REPORT_HAS_COMMISSION),
    ):
        if report.present & bit:
            value = getattr(report, field)
            if not math.isfinite(value):
                return fault(field, P_FINITE)
            if not abs(value) <= MONEY_MAX:
                return fault(field, P_FINITE)
    return None
