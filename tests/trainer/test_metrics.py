from collections import defaultdict
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.drawdown import by_account, by_provider, measure_drawdown, measure_drawdowns
from trainer.metrics import ProviderMetric, measure_sharpe, provider_metrics
from trainer.periods import find_period
from trainer.rows import StopFill, Trade
from trainer.simulate import SimulatedMarket

START = datetime(2024, 12, 28, 12, 0, tzinfo=UTC)


def make_trade(number: int = 0, profit: float = 1.0, **changes: object) -> Trade:
    values: dict[str, object] = {
        "provider_id": "7",
        "provider_type": "channel_source",
        "trade_no": number,
        "symbol": "EURUSD",
        "side": "buy",
        "lots": 0.1,
        "open_ts": START,
        "open_price": 1.1000,
        "close_ts": START + timedelta(hours=number),
        "close_price": 1.1020,
        "stop_loss": 1.0990,
        "take_profit": None,
        "exit_reason": "tp",
        "commission": 0.0,
        "swap": 0.0,
        "profit": profit,
        "pip_size": 0.0001,
        **changes,
    }
    return Trade(**values)  # type: ignore[arg-type]


def make_fill(slippage_pips: float, latency_ms: float | None = None, number: int = 0) -> StopFill:
    return StopFill(
        "7", "channel_source", number, "EURUSD", "buy", 0.1, START, "sl", 1.1, 1.1, 1e-4,
        slippage_pips, latency_ms,
    )  # fmt: skip


def overall(trades: list[Trade], fills: list[StopFill] | None = None) -> ProviderMetric:
    (row,) = (row for row in provider_metrics(trades, fills or []) if row.period_type == "overall")
    return row


profits = st.lists(
    st.integers(-500_000, 500_000).map(lambda cents: cents / 100), min_size=1, max_size=40
)


@given(st.integers(1, 1_000_000), profits)
def test_max_drawdown_equals_the_quadratic_reference(start: int, steps: list[float]) -> None:
    curve = [float(start)]
    for step in steps:
        curve.append(curve[-1] + step)
    pairs = [(curve[i], curve[j]) for i in range(len(curve)) for j in range(i, len(curve))]
    measured = measure_drawdown(float(start), steps)
    assert measured.cumulative_money == pytest.approx(max(a - b for a, b in pairs))
    assert measured.cumulative_fraction == pytest.approx(
        min(1.0, max((a - b) / a for a, b in pairs if a > 0))
    )
    assert measured.individual_money == pytest.approx(max(0.0, *(-step for step in steps)))


@given(profits, st.integers(1, 100_000))
def test_drawdown_does_not_shrink_when_a_loss_is_added(steps: list[float], loss: int) -> None:
    before = measure_drawdown(10_000.0, steps)
    after = measure_drawdown(10_000.0, [*steps, -float(loss)])
    assert after.cumulative_money >= before.cumulative_money
    assert after.cumulative_fraction >= before.cumulative_fraction


def test_drawdowns_are_told_apart_by_provider_and_by_account() -> None:
    trades = [
        make_trade(0, -100.0, account_id="A"),
        make_trade(1, -50.0, account_id="B"),
        make_trade(2, -50.0, account_id="A", provider_id="8"),
    ]
    accounts = measure_drawdowns(trades, by_account, 10_000.0)
    providers = measure_drawdowns(trades, by_provider, 10_000.0)
    assert {name: fall.cumulative_money for name, fall in accounts.items()} == {
        ("A",): 150.0,
        ("B",): 50.0,
    }
    assert providers["channel_source", "7"].cumulative_money == 150.0
    assert providers["channel_source", "7"].individual_money == 100.0


def test_the_same_id_of_two_types_is_two_providers() -> None:
    rows = provider_metrics([make_trade(0), make_trade(0, provider_type="user")], [])
    assert {row.provider_type for row in rows} == {"channel_source", "user"}
    assert all(row.total_signals == 1 for row in rows)


def test_win_rate_counts_breakeven_trades() -> None:
    row = overall([make_trade(0, 5.0), make_trade(1, -5.0), make_trade(2, 0.0), make_trade(3, 2.0)])
    assert (row.winning_signals, row.losing_signals, row.breakeven_signals) == (2, 1, 1)
    assert row.win_rate_fraction == pytest.approx(0.5, abs=1e-9)


def test_commission_turns_a_small_gain_into_a_loss() -> None:
    assert overall([make_trade(0, 0.5, commission=-0.7)]).losing_signals == 1


def test_figures_are_none_when_nothing_was_traded() -> None:
    row = overall([], [make_fill(0.3)])
    assert row.total_signals == 0
    assert row.win_rate_fraction is None
    assert row.max_drawdown_fraction is None
    assert row.reward_to_risk_ratio is None


def test_reward_to_risk_leaves_out_and_counts_trades_without_a_stop() -> None:
    trades = [
        make_trade(0),  # 20 pips won for 10 at risk
        make_trade(1, stop_loss=None),
        make_trade(2, stop_loss=1.1010),  # trailed past the entry: initial risk unknown
    ]
    row = overall(trades)
    assert row.reward_to_risk_ratio == pytest.approx(2.0)
    assert row.without_stop == 2


def test_reward_to_risk_of_a_sell_uses_the_mirrored_distances() -> None:
    sell = make_trade(0, side="sell", stop_loss=1.1010, close_price=1.0970)
    assert overall([sell]).reward_to_risk_ratio == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("close_price", "kept"), [(1.0990, 1.0), (1.0989, 1.0), (1.09889, 0.0), (1.1020, 1.0)]
)
def test_a_stop_is_kept_when_the_loss_is_within_its_distance_and_one_pip(
    close_price: float, kept: float
) -> None:
    assert overall([make_trade(0, close_price=close_price)]).sl_compliance_fraction == kept


def test_price_improvement_is_kept_apart_from_adverse_slippage() -> None:
    row = overall(
        [], [make_fill(2.0, number=0), make_fill(-1.0, number=1), make_fill(0.0, number=2)]
    )
    assert row.max_slippage_pips == 2.0
    assert row.avg_slippage_pips == pytest.approx(2.0 / 3)
    assert row.avg_improvement_pips == pytest.approx(-1.0 / 3)


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=30))
def test_adverse_slippage_is_ordered(pips: list[float]) -> None:
    row = overall([], [make_fill(value, number=number) for number, value in enumerate(pips)])
    assert row.max_slippage_pips is not None
    assert row.avg_slippage_pips is not None
    assert row.max_slippage_pips >= row.avg_slippage_pips >= 0


def test_latency_keeps_its_tail() -> None:
    row = overall([], [make_fill(0.0, float(value), value) for value in range(1, 101)])
    assert row.avg_latency_ms == pytest.approx(50.5)
    assert row.latency_p50_ms == pytest.approx(50.5)
    assert row.latency_p95_ms == pytest.approx(95.05)
    assert row.latency_p99_ms == pytest.approx(99.01)


def test_sharpe_per_trade_and_per_year_are_two_figures() -> None:
    per_trade, per_year = measure_sharpe([1.0, 3.0], timedelta(days=365.25))
    assert per_trade == pytest.approx(2.0 / 2.0**0.5)
    assert per_year == pytest.approx(2.0)


@pytest.mark.parametrize("profits", [[], [5.0], [5.0, 5.0]])
def test_sharpe_is_none_without_two_different_trades(profits: list[float]) -> None:
    assert measure_sharpe(profits, timedelta(days=1)) == (None, None)


@pytest.mark.parametrize(
    ("day", "start", "end"),
    [
        (date(2024, 12, 31), date(2024, 12, 30), date(2025, 1, 5)),
        (date(2021, 1, 3), date(2020, 12, 28), date(2021, 1, 3)),
        (date(2024, 2, 29), date(2024, 2, 26), date(2024, 3, 3)),
    ],
)
def test_weeks_are_iso_weeks_over_the_end_of_a_year(day: date, start: date, end: date) -> None:
    period = find_period("weekly", datetime(day.year, day.month, day.day, 23, 59, tzinfo=UTC))
    assert (period.start, period.end) == (start, end)


def test_months_are_calendar_months() -> None:
    period = find_period("monthly", datetime(2024, 2, 10, tzinfo=UTC))
    assert (period.start, period.end) == (date(2024, 2, 1), date(2024, 2, 29))


@pytest.mark.parametrize("period_type", ["weekly", "monthly"])
def test_longer_periods_add_up_from_days(market: SimulatedMarket, period_type: str) -> None:
    rows = provider_metrics(market.trades, market.fills)
    summed: dict[tuple[str, date], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        if row.period_type == "daily":
            noon = datetime(
                row.period_start.year, row.period_start.month, row.period_start.day, 12, tzinfo=UTC
            )
            start = find_period("weekly" if period_type == "weekly" else "monthly", noon).start
            counts = (row.total_signals, row.winning_signals, row.losing_signals)
            total = summed[row.provider_id, start]
            summed[row.provider_id, start] = [a + b for a, b in zip(total, counts, strict=True)]
    longer = {
        (row.provider_id, row.period_start): [
            row.total_signals, row.winning_signals, row.losing_signals,
        ]
        for row in rows
        if row.period_type == period_type
    }  # fmt: skip
    assert longer == dict(summed)


def test_metrics_do_not_depend_on_the_order_of_rows(market: SimulatedMarket) -> None:
    assert provider_metrics(market.trades[::-1], market.fills[::-1]) == provider_metrics(
        market.trades, market.fills
    )
