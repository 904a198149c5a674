"""How old each input of a decision was, as the field `input_ages` of an answer."""

from __future__ import annotations

from typing import Any

from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import MILLISECOND_NS
from server.hotpath.wire import fields as f
from server.hotpath.wire.encode import close_short_nb, put_present_number_nb, put_tag_nb
from server.hotpath.wire.scan import LENGTH


@kernel
def _put_age_nb(out: int, field: int, age_ns: int) -> int:
    if age_ns < 0:
        return out
    return put_present_number_nb(out, field, age_ns // i64(MILLISECOND_NS))


@routine
def put_ages_nb(out: int, decision: Any) -> int:
    """Write the ages that are known; return the end."""
    start = put_tag_nb(out, i64(f.DECIDE_RESPONSE_INPUT_AGES), i64(LENGTH)) + 1
    end = _put_age_nb(start, i64(f.INPUT_AGES_HEARTBEAT_MS), decision.heartbeat_age_ns)
    end = _put_age_nb(end, i64(f.INPUT_AGES_EQUITY_MS), decision.equity_age_ns)
    end = _put_age_nb(end, i64(f.INPUT_AGES_SCORE_MS), decision.score_age_ns)
    end = _put_age_nb(end, i64(f.INPUT_AGES_ATR_MS), decision.atr_age_ns)
    end = _put_age_nb(end, i64(f.INPUT_AGES_VOLATILITY_MS), decision.volatility_age_ns)
    end = _put_age_nb(end, i64(f.INPUT_AGES_CONVERSION_RATE_MS), decision.conversion_rate_age_ns)
    end = _put_age_nb(end, i64(f.INPUT_AGES_QUOTE_MS), decision.quote_age_ns)
    return close_short_nb(start, end)
