"""What makes an execution report unusable: the first bad field."""

from __future__ import annotations

import math
from typing import Any

from server.hotpath.jit import routine
from server.hotpath.layout import EQUITY_MICROS_MAX, MICROS
from server.hotpath.records import (
    P_FINITE,
    P_POSITIVE,
    P_REQUIRED,
    REPORT_HAS_COMMISSION,
    REPORT_HAS_CUMULATIVE,
    REPORT_HAS_LOTS,
    REPORT_HAS_PNL,
    REPORT_HAS_PRICE,
)

KIND_ACK = 1
KIND_PARTIAL_FILL = 2
KIND_FILL = 3
KIND_REJECT = 4
KIND_CANCEL = 5
KIND_EXPIRE = 6
KIND_CLOSE = 7
KIND_UNKNOWN = 8  # the router does not know what became of it: it may be in the market
KIND_MAX = 8

FIELD_ACCOUNT = 1
FIELD_SYMBOL = 4
FIELD_SIDE = 5
FIELD_REPORT = 13
FIELD_KIND = 14
FIELD_LOTS = 15
FIELD_PRICE = 16
FIELD_CUMULATIVE = 17
FIELD_PNL = 18
FIELD_COMMISSION = 19

SIDE_BUY = 1
SIDE_SELL = 2


@routine
def refuse_nb(result: Any, field: int, problem: int) -> bool:
    """Name a bad field in the result; return False."""
    result.field = field
    result.problem = problem
    return False


@routine
def _is_amount_nb(value: float) -> bool:
    return abs(value) * MICROS <= EQUITY_MICROS_MAX


@routine
def numbers_are_valid_nb(report: Any, result: Any) -> bool:
    """Check the numbers that a report of this kind needs; name the first bad one."""
    fills = report.kind in (KIND_PARTIAL_FILL, KIND_FILL)
    if fills or report.kind == KIND_CLOSE:
        if not report.present & (REPORT_HAS_LOTS | REPORT_HAS_CUMULATIVE):
            return refuse_nb(result, FIELD_LOTS, P_REQUIRED)
        if report.present & REPORT_HAS_LOTS and not (
            report.lots > 0.0 and math.isfinite(report.lots)
        ):
            return refuse_nb(result, FIELD_LOTS, P_POSITIVE)
        if report.present & REPORT_HAS_CUMULATIVE and not (
            report.cumulative_lots > 0.0 and math.isfinite(report.cumulative_lots)
        ):
            return refuse_nb(result, FIELD_CUMULATIVE, P_POSITIVE)
    if fills and not report.present & REPORT_HAS_PRICE:
        return refuse_nb(result, FIELD_PRICE, P_REQUIRED)
    if report.present & REPORT_HAS_PRICE and not (
        report.price > 0.0 and math.isfinite(report.price)
    ):
        return refuse_nb(result, FIELD_PRICE, P_POSITIVE)
    if report.kind == KIND_CLOSE and not report.present & REPORT_HAS_PNL:
        return refuse_nb(result, FIELD_PNL, P_REQUIRED)
    if report.present & REPORT_HAS_PNL and not _is_amount_nb(report.realised_pnl):
        return refuse_nb(result, FIELD_PNL, P_FINITE)
    if report.present & REPORT_HAS_COMMISSION and not _is_amount_nb(report.commission):
        return refuse_nb(result, FIELD_COMMISSION, P_FINITE)
    return True


@routine
def names_are_valid_nb(report: Any, result: Any) -> bool:
    """Check account, report id and kind; name the first bad one."""
    if report.account_id[0] == 0:
        return refuse_nb(result, FIELD_ACCOUNT, P_REQUIRED)
    if report.report_id[0] == 0:
        return refuse_nb(result, FIELD_REPORT, P_REQUIRED)
    if not (KIND_ACK <= report.kind <= KIND_MAX):
        return refuse_nb(result, FIELD_KIND, P_REQUIRED)
    return True
