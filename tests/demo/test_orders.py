"""Trades as orders, and instruments out of trades."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from demo.instruments import build_document, derive_instruments, derive_rates
from demo.orders import STRICT_ACCOUNT, build_orders, build_samples
from server.commands.apply_file import ApplyFile, read_apply_file
from trainer.rows import StopFill, Trade
from trainer.source import open_folder, read_stop_fills, read_trades

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
NOON = datetime(2024, 1, 8, 12, tzinfo=UTC)


def build_trade(number: int = 0, **other: Any) -> Trade:
    fields: dict[str, Any] = {
        "provider_id": "p",
        "provider_type": "channel_source",
        "trade_no": number,
        "symbol": "EURUSD",
        "side": "buy",
        "lots": 0.5,
        "open_ts": NOON + timedelta(minutes=number),
        "open_price": 1.10001,
        "close_ts": NOON + timedelta(hours=1, minutes=number),
        "close_price": 1.1,
        "stop_loss": 1.09,
        "take_profit": None,
        "exit_reason": "sl",
        "commission": 0.0,
        "swap": 0.0,
        "profit": 0.0,
        "pip_size": 0.0001,
    }
    return Trade(**(fields | other))


def build_fill(number: int, exit_reason: str, slippage_pips: float) -> StopFill:
    return StopFill(
        "p", "channel_source", number, "EURUSD", "buy", 0.5, NOON, exit_reason, 1.09, 1.0899,
        0.0001, slippage_pips,
    )  # fmt: skip


def test_orders_when_a_stop_is_missing_or_on_the_wrong_side_then_it_is_counted() -> None:
    trades = [
        build_trade(0),
        build_trade(1, stop_loss=None),
        build_trade(2, stop_loss=1.2),
        build_trade(3, side="sell"),
        build_trade(4, side="sell", stop_loss=1.2),
    ]
    orders, left_out = build_orders(trades, [], with_samples=False)
    assert [order.entry for order in orders] == [1.10001, 1.10001]
    assert sorted(left_out.values()) == [1, 2]
    assert len(orders) + left_out.total() == len(trades)


def test_orders_when_a_stop_was_filled_then_its_slippage_is_joined_and_targets_are_not() -> None:
    fills = [build_fill(1, "sl", 0.7), build_fill(2, "tp", -0.3)]
    orders, _ = build_orders(
        [build_trade(number) for number in range(3)], fills, with_samples=False
    )
    assert [order.slippage_pips for order in orders] == [None, 0.7, None]


def test_orders_when_they_go_to_the_strict_account_then_lots_are_within_its_range() -> None:
    orders, _ = build_orders([build_trade(n) for n in range(30)], [], with_samples=True)
    strict = [order for order in orders if order.account_id == STRICT_ACCOUNT]
    assert len(strict) == 3
    assert all(order.lots is not None and 0.01 <= order.lots <= 0.10 for order in strict)
    assert {"channel_12345", "user_67890"} < {order.provider_id for order in orders}
    assert len({order.order_id for order in [*orders, *build_samples()]}) == 40


@pytest.mark.parametrize(
    ("symbol", "pip_size", "price", "base", "quote", "tick", "tick_value"),
    [
        ("EURUSD", 0.0001, 1.10001, "EUR", "USD", "0.00001", "1"),
        ("USDJPY", 0.01, 148.123, "USD", "JPY", "0.001", "100"),
        ("XAUUSD", 0.1, 2050.12, "XAU", "USD", "0.01", "1"),
        ("US_OIL", 0.01, 61.12, "USOIL", "USD", "0.01", "10"),
        ("JP225", 1.0, 20_001.0, "JP225", "JPY", "1", "10"),
    ],
)
def test_instrument_when_derived_then_tick_and_currencies_follow_from_prices_and_letters(
    symbol: str, pip_size: float, price: float, base: str, quote: str, tick: str, tick_value: str
) -> None:
    trade = build_trade(
        symbol=symbol,
        pip_size=pip_size,
        open_price=price,
        close_price=price,
        stop_loss=None,
    )
    (instrument,) = derive_instruments([trade])
    assert (instrument.base_currency, instrument.quote_currency) == (base, quote)
    assert instrument.tick_size == Decimal(tick)
    assert instrument.tick_value == Decimal(tick_value)
    assert instrument.atr >= float(tick)


def test_rates_when_only_a_cross_is_quoted_then_two_steps_lead_to_the_account_currency() -> None:
    trades = [
        build_trade(0, symbol="EURTRY", open_price=4.4, close_price=4.4, stop_loss=None),
        build_trade(1, symbol="EURUSD", close_price=1.1),
        build_trade(2, symbol="USDJPY", open_price=150.0, close_price=150.0, stop_loss=None),
    ]
    rates = derive_rates(trades, {"TRY", "USD", "JPY", "NOK"})
    assert rates == {"JPY": pytest.approx(1 / 150), "TRY": pytest.approx(0.25), "USD": 1.0}


def test_sample_when_read_by_apply_then_it_has_the_form_of_the_file() -> None:
    content = read_apply_file(ROOT / "demo" / "sample.yaml")
    assert {provider.provider_id: provider.performance_score for provider in content.providers} == {
        "channel_12345": 87.5,
        "user_67890": 62.3,
    }
    assert content.circuit_breakers[0].name == "max_drawdown_10_percent"


@pytest.mark.skipif(not DATA.is_dir(), reason="the recorded data are not beside the repository")
def test_recorded_trades_when_read_then_at_least_2000_are_usable_and_all_instruments_apply() -> (
    None
):
    folder = open_folder(DATA)
    trades, fills = read_trades(folder), read_stop_fills(folder)
    orders, left_out = build_orders(trades, fills, with_samples=False)
    assert len(orders) >= 2_000
    assert len(orders) + left_out.total() == len(trades)
    instruments = derive_instruments(trades)
    currencies = {instrument.quote_currency for instrument in instruments}
    document = build_document(instruments, derive_rates(trades, currencies))
    content = ApplyFile.model_validate(document)
    assert len(content.instruments) == len({trade.symbol for trade in trades})
    assert {rate.from_currency for rate in content.conversion_rates} == currencies - {"USD"}
    ticks = {instrument.symbol: float(instrument.tick_size) for instrument in instruments}
    for order in orders:
        assert order.stop is not None
        for price in (order.entry, order.stop):
            in_ticks = price / ticks[order.symbol]
            assert abs(in_ticks - round(in_ticks)) < 1e-6
