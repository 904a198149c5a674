"""A journal judged again with other limits: what flips, how lots change, what it would bring."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2 as types
from server import changes
from server.commands.apply_file import read_apply_file
from server.errors import ConfigurationError, InvalidFieldError
from server.hotpath.change_kinds import BREAKER, INSTRUMENT, MODEL, POLICY, RISK_CONFIGURATION
from server.hotpath.journal.entries import KIND_SYNC
from server.hotpath.layout import CHANGE_MODEL, CHANGE_ROWS
from server.journal.reader import read_entries
from server.policy import DEFAULT_POLICY
from server.replays.comparing import Stretch, find_stretch
from server.replays.outcomes import Order
from server.replays.simulating import Simulation, simulate
from server.replays.source import ReplaySource
from server.replays.substitution import Substitution
from server.replays.tally import Tally
from server.replays.what_if import Replacement, read_changes
from tests.cases import World
from tests.decision_harness import EURUSD, drawdown_breaker, example_changes, good_request
from tests.journaled_engine import JournaledEngine, StoredModel, find_model
from tests.journaled_example import HALF, WIDE, new_example_engine, trade
from tests.journaled_flow import new_world_engine, play_world


@pytest.fixture
def live(tmp_path: Path) -> Iterator[JournaledEngine]:
    with new_example_engine(tmp_path / "journal") as made:
        yield made


def source_of(live: JournaledEngine) -> ReplaySource:
    return ReplaySource(live.folder, live.folder.with_name("snapshots"), find_model)


def read(live: JournaledEngine, **content: Any) -> list[Replacement]:
    """Return what a YAML file of this content replaces."""
    path = live.folder.with_name("changes.yaml")
    path.write_text(yaml.safe_dump(content))
    return read_changes(read_apply_file(path))[0]


def changed(live: JournaledEngine, **content: Any) -> tuple[Tally, list[str]]:
    """Simulate what a YAML file of this content says."""
    return simulate(source_of(live), Stretch(), read(live, **content))


def configured(live: JournaledEngine, **columns: Any) -> Tally:
    tally, unused = changed(live, risk_configurations=[{**WIDE, **columns}])
    assert unused == []
    return tally


def lots_of(tally: Tally, group: str = "all", name: str = "") -> tuple[float, float]:
    sums = tally.lots[group][name]
    return round(sums.was, 9), round(sums.now, 9)


def gain_of(tally: Tally, currency: str = "USD") -> tuple[float, float]:
    gain = tally.gains[currency]
    return round(gain.was, 9), round(gain.now, 9)


def test_half_the_risk_per_trade_halves_lots_and_profit(live: JournaledEngine) -> None:
    assert trade(live, "won", 9.0).lot_size == 0.32
    assert trade(live, "lost", -4.0).lot_size == 0.32
    tally = configured(live, risk_per_trade_percentage=0.25)
    assert (tally.decisions, tally.same, tally.resized) == (2, 0, 2)
    assert tally.flips == {}
    assert lots_of(tally) == (0.64, 0.32)
    assert tally.lots["all"][""].change_mean == pytest.approx(-0.16)
    for group, name in (
        ("account", "A"),
        ("symbol", "EURUSD"),
        ("provider", "channel_source:channel_12345"),
    ):
        assert lots_of(tally, group, name) == (0.64, 0.32)
    assert gain_of(tally) == (5.0, 2.5)
    assert tally.gains["USD"].reports == 2


def test_what_is_denied_now_brings_nothing(live: JournaledEngine) -> None:
    trade(live, "won", 90.0)
    tally = configured(live, min_provider_score=90)
    assert tally.flips == {("ALLOW", "DENY"): 1}
    (flip,) = tally.first_flips
    assert (flip.account, flip.symbol, flip.now.binding) == ("A", "EURUSD", "PROVIDER_SCORE_LOW")
    assert tally.bindings == {("", "PROVIDER_SCORE_LOW"): 1}
    assert lots_of(tally) == (0.32, 0.0)
    assert gain_of(tally) == (90.0, 0.0)


def test_what_goes_only_now_is_counted_and_brings_nothing(live: JournaledEngine) -> None:
    live.decide(good_request(provider_id="stranger"))
    trade(live, "won", 10.0)
    scored: dict[str, Any] = {"provider_id": "stranger", "provider_type": "channel_source"}
    scored |= {"performance_score": 87.5}
    tally, unused = changed(live, providers=[scored])
    assert unused == []
    assert tally.flips == {("DENY", "ALLOW"): 1}
    assert tally.without_outcome == 1
    assert tally.first_flips[0].now.lots == 0.32
    assert gain_of(tally) == (10.0, 10.0)


def test_a_later_change_of_the_journal_does_not_undo_the_simulated_one(
    live: JournaledEngine,
) -> None:
    live.decide(good_request())
    rows = example_changes()[2][2]
    live.change(RISK_CONFIGURATION, "A", rows, version=9)
    live.change(INSTRUMENT, "EURUSD", changes.instrument_rows(EURUSD), version=10)
    live.decide(good_request())
    live.change(RISK_CONFIGURATION, "A", b"", version=11)
    denied = live.decide(good_request())
    assert types.REASON_CONFIGURATION_MISSING in denied.reasons
    tally = configured(live, risk_per_trade_percentage=0.25)
    assert lots_of(tally) == (0.64, 0.48)
    assert tally.flips == {("DENY", "ALLOW"): 1}


def test_a_breaker_is_known_by_its_name(live: JournaledEngine) -> None:
    live.change(BREAKER, "breaker-1", drawdown_breaker(), version=7)
    trade(live, "lost", -1_500.0)
    assert live.decide(good_request()).verdict == types.VERDICT_DENY
    live.change(BREAKER, "breaker-1", drawdown_breaker(), version=8)
    assert live.decide(good_request()).verdict == types.VERDICT_DENY
    breaker = {
        "name": "max_drawdown_10_percent",
        "account_id": "A",
        "condition": "max_drawdown",
        "action": "block",
        "parameters": {"threshold": 0.2},
    }
    tally, unused = changed(live, circuit_breakers=[breaker])
    assert unused == []
    assert tally.flips == {("DENY", "ALLOW"): 2}
    # One of another name beside it changes nothing: the stricter one still stands.
    tally, unused = changed(live, circuit_breakers=[{**breaker, "name": "other"}])
    assert (tally.flips, unused) == ({}, [])


def test_an_account_keeps_the_equity_of_the_journal(live: JournaledEngine) -> None:
    answer = live.decide(good_request())
    halted = {"account_id": "A", "currency": "USD", "equity": 77, "trading_state": "halted"}
    tally, unused = changed(live, accounts=[halted])
    assert unused == []
    assert tally.flips == {("ALLOW", "DENY"): 1}
    tally, _ = changed(live, accounts=[{**halted, "trading_state": "active"}])
    assert tally.first_flips == []
    assert lots_of(tally) == (answer.lot_size, answer.lot_size)


def test_another_model_is_in_use_from_the_first_decision_to_the_last(
    live: JournaledEngine,
) -> None:
    live.decide(good_request())
    live.swap_model(3)
    live.decide(good_request())
    live.swap_model(None)
    live.decide(good_request())
    rows = np.zeros(1, CHANGE_MODEL)
    model = StoredModel(0)
    rows["digest"] = np.frombuffer(model.digest, "<i8")
    rows["serial"] = 1
    replacement = Replacement(MODEL, "model", rows, model.load_into)
    tally, unused = simulate(source_of(live), Stretch(), [replacement])
    assert (tally.decisions, unused) == (3, [])
    # As the first decision of a journal with that model from the start.
    other = live.folder.with_name("other")
    with new_example_engine(other) as expected:
        expected.swap_model(0)
        lots = sum(expected.decide(good_request()).lot_size for _ in range(3))
    assert lots_of(tally)[1] == pytest.approx(lots)
    assert lots_of(tally)[0] != lots_of(tally)[1]


def test_another_policy_is_in_use(live: JournaledEngine) -> None:
    live.decide(good_request())
    policy = {**DEFAULT_POLICY, "multiplier": [[0, 0.5], [100, 0.5]]}
    rows = np.frombuffer(changes.policy_rows(policy), CHANGE_ROWS[POLICY])
    tally, _ = simulate(source_of(live), Stretch(), [Replacement(POLICY, "policy", rows)])
    # Half of 50 for 205 a lot.
    assert lots_of(tally) == (0.32, 0.12)


def test_partial_fills_add_up_to_the_scaled_order(live: JournaledEngine) -> None:
    live.decide(good_request(client_order_id="parts"))
    for number, lots in enumerate((0.11, 0.09, 0.12)):
        live.report(
            report_id=f"fill-{number}", account_id="A", client_order_id="parts",
            kind=types.REPORT_KIND_FILL if number == 2 else types.REPORT_KIND_PARTIAL_FILL,
            lots=lots, price=1.1,
        )  # fmt: skip
    source = source_of(live)
    replacements = read(live, risk_configurations=[HALF])
    simulation = Simulation(source.begin_before(1), Substitution(replacements, find_model))
    for entry in read_entries(live.folder):
        simulation.give(entry)
    (net,) = simulation.engine.state.positions.rows[1:2]
    assert net["net_steps"] == 16
    assert simulation.engine.state.accounts.rows[1]["held_risk_micros"] == 0


def test_a_brokers_view_of_an_account_that_has_gone_its_own_way_counts_for_equity_only(
    live: JournaledEngine,
) -> None:
    trade(live, "won", 90.0)
    view = pb.SyncAccountRequest(account_id="A", equity=20_000.0)
    view.positions.add(symbol="EURUSD", side=types.SIDE_BUY, lots=5.0, average_price=1.1)
    live.call(KIND_SYNC, view.SerializeToString())
    assert live.decide(good_request()).lot_size == 0.65
    tally = configured(live, risk_per_trade_percentage=0.25)
    assert lots_of(tally) == (0.97, 0.48)


def test_only_decisions_of_the_stretch_are_judged_again(live: JournaledEngine) -> None:
    ids = [trade(live, f"order-{number}", 1.0).decision_id for number in range(4)]
    source = source_of(live)
    replacements = read(live, risk_configurations=[HALF])
    stretch = find_stretch(source, ids[1], ids[2])
    tally, unused = simulate(source, stretch, replacements)
    assert (tally.decisions, tally.resized, unused) == (2, 2, [])
    # Reports of orders from before the stretch are none of its outcomes.
    tally, _ = simulate(source, Stretch(stretch.first), replacements)
    assert gain_of(tally) == (3.0, 1.5)


def test_what_the_journal_never_makes_possible_is_named(live: JournaledEngine) -> None:
    live.decide(good_request())
    tally, unused = changed(live, risk_configurations=[{**WIDE, "account_id": "nobody"}])
    assert (tally.same, unused) == (1, ["risk configuration of nobody"])


def test_what_is_measured_or_inactive_is_left_out_by_name(tmp_path: Path) -> None:
    content = {
        "market": [{"symbol": "EURUSD", "atr": 0.001}],
        "conversion_rates": [{"from": "EUR", "to": "USD", "rate": 1.1}],
        "accounts": [{"account_id": "A", "currency": "USD", "equity": 1}],
        "risk_configurations": [{**WIDE, "is_active": False}],
    }
    path = tmp_path / "changes.yaml"
    path.write_text(yaml.safe_dump(content))
    replacements, left_out = read_changes(read_apply_file(path))
    assert [replacement.name for replacement in replacements] == ["account A"]
    assert [line.partition(":")[0] for line in left_out] == [
        "conversion_rates",
        "market",
        "accounts",
        "risk_configurations",
    ]


def test_a_file_that_apply_would_refuse_is_refused(live: JournaledEngine) -> None:
    with pytest.raises(InvalidFieldError, match=r"risk_configurations\[0\]\.risk_per_trade"):
        configured(live, risk_per_trade_percentage=101)
    with pytest.raises(ConfigurationError, match="unknown key"):
        configured(live, risk=1)


@pytest.mark.parametrize("seed", range(6))
def test_without_a_change_nothing_changes(tmp_path: Path, seed: int) -> None:
    world = World(seed)
    with new_world_engine(tmp_path / "journal", world) as live:
        play_world(live, world, 2_000)
    source = source_of(live)
    simulation = Simulation(source.begin_before(1), Substitution([], find_model))
    for entry in read_entries(live.folder):
        simulation.give(entry)
    tally, simulated = simulation.tally, simulation.engine.state
    assert tally.decisions == tally.same > 1_000
    assert (tally.flips, tally.bindings) == ({}, {})
    for sums in tally.lots["account"].values():
        assert sums.was == sums.now
    for gain in tally.gains.values():
        assert gain.was == gain.now
    assert tally.gains["USD"].reports + tally.gains["USD"].other_reports > 20
    assert simulated.accounts.rows.tobytes() == live.engine.state.accounts.rows.tobytes()
    assert simulated.positions.rows.tobytes() == live.engine.state.positions.rows.tobytes()
    assert int(simulated.engine[0]["sequence"]) == live.sequence


@pytest.mark.parametrize("seed", [4, 7, 8, 9])
def test_a_change_that_concerns_nobody_changes_nothing(tmp_path: Path, seed: int) -> None:
    world = World(seed)
    with new_world_engine(tmp_path / "journal", world) as live:
        play_world(live, world, 1_500)
    source = source_of(live)
    replacements = read(
        live,
        providers=[{"provider_id": "nobody", "provider_type": "user", "performance_score": 1}],
        risk_configurations=[{**WIDE, "account_id": "nobody"}],
    )
    for stretch in (Stretch(), find_stretch(source, live.sequence // 2, None)):
        tally, unused = simulate(source, stretch, replacements)
        assert tally.decisions == tally.same > 400
        assert unused == ["risk configuration of nobody"]
        assert all(gain.was == gain.now for gain in tally.gains.values())


steps = st.integers(1, 500)


@given(now=steps, parts=st.lists(steps, min_size=1, max_size=8), cumulative=st.booleans())
def test_scaled_reports_of_a_whole_order_add_up_to_its_lots(
    now: int, parts: list[int], cumulative: bool
) -> None:
    order = Order(5, sum(parts) * 0.01, now * 0.01, 0.01)
    moved, total = 0.0, 0
    for part in parts:
        total += part
        report = pb.ExecutionReport(kind=types.REPORT_KIND_PARTIAL_FILL, realised_pnl=3.0)
        if cumulative:
            report.cumulative_lots = total * 0.01
        else:
            report.lots = part * 0.01
        scaled = order.scale(report)
        assert scaled is not None
        assert scaled.realised_pnl == pytest.approx(3.0 * now / sum(parts))
        assert scaled.lots >= 0.0
        moved += scaled.lots
    if now == sum(parts):
        moved = now * 0.01
    assert moved == pytest.approx(now * 0.01)
