import pytest

from trainer.features import measure_release_distance
from trainer.simulate import SimulatedMarket, simulate_market


def test_the_same_seed_gives_the_same_market() -> None:
    assert simulate_market(3, 200) == simulate_market(3, 200)
    assert simulate_market(3, 200) != simulate_market(4, 200)


def test_the_market_is_large_and_varied_enough_to_train_on(market: SimulatedMarket) -> None:
    assert len(market.trades) >= 1_500
    assert len({trade.provider_id for trade in market.trades}) == 4
    assert len({trade.symbol for trade in market.trades}) == 3


def test_every_row_says_that_it_is_simulated(market: SimulatedMarket) -> None:
    names = {trade.provider_id for trade in market.trades}
    names |= {fill.provider_id for fill in market.fills}
    assert all(name.startswith("sim_") for name in names)


def test_stops_lie_on_the_losing_side(market: SimulatedMarket) -> None:
    for trade in market.trades:
        assert trade.stop_loss is not None
        assert (trade.open_price - trade.stop_loss) * trade.direction > 0


def test_recorded_slippage_is_the_distance_of_level_and_fill(market: SimulatedMarket) -> None:
    for fill in market.fills:
        direction = 1 if fill.side == "buy" else -1
        pips = direction * (fill.ref_price - fill.fill_price) / fill.pip_size
        assert fill.slippage_pips == pytest.approx(pips, abs=1e-5)


def test_fills_near_a_release_slip_more(market: SimulatedMarket) -> None:
    near: list[float] = []
    far: list[float] = []
    for fill in market.fills:
        if fill.exit_reason == "sl" and fill.provider_id != "sim_exact":
            is_near = measure_release_distance(fill.ts_us) < 1
            (near if is_near else far).append(fill.slippage_pips)
    assert sum(near) / len(near) > 3 * sum(far) / len(far)
