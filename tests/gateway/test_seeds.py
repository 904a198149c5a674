"""Rows S3-21 to S3-23: the samples of seed 003 load verbatim at its paths, and come back."""

import copy
import json
from typing import Final

from tests.gateway_process import ACCOUNT_ID, LOW_RISK, MAX_DRAWDOWN, GatewayProcess

CONFIGURATIONS: Final = "/api/risk/configurations"
BREAKERS: Final = "/api/risk/circuit-breakers"


def test_the_seed_s_configuration_is_saved_loaded_and_listed_as_it_is(
    gateway: GatewayProcess,
) -> None:
    saved = gateway.ask("POST", CONFIGURATIONS, LOW_RISK)
    assert (saved.status, saved.content["id"]) == (201, "low_risk")
    loaded = gateway.ask("GET", f"{CONFIGURATIONS}/low_risk?account_id={ACCOUNT_ID}")
    assert loaded.status == 200
    assert loaded.content == saved.content
    (symbol,) = loaded.content["symbol_configs"]
    assert symbol == LOW_RISK["symbol_configs"][0] | {"override": False}
    assert {name: loaded.content[name] for name in LOW_RISK if name != "symbol_configs"} == {
        name: value for name, value in LOW_RISK.items() if name != "symbol_configs"
    }
    listed = gateway.ask("GET", f"{CONFIGURATIONS}?account_id={ACCOUNT_ID}")
    assert listed.content == [loaded.content]


def test_a_configuration_that_exists_is_replaced_by_saving_it(gateway: GatewayProcess) -> None:
    gateway.ask("POST", CONFIGURATIONS, LOW_RISK)
    changed = copy.deepcopy(LOW_RISK) | {"max_leverage": 3, "market_regime_thresholds": {}}
    changed["market_regime_thresholds"] = {"volatile": {"multiplier": 0.5}}
    saved = gateway.ask("POST", CONFIGURATIONS, changed)
    assert saved.status == 200
    assert saved.content["max_leverage"] == 3
    assert saved.content["market_regime_thresholds"]["volatile"]["multiplier"] == 0.5
    # What was answered may be sent back, and then changes nothing.
    again = gateway.ask("POST", CONFIGURATIONS, saved.content)
    assert (again.status, again.content) == (200, saved.content)
    gateway.ask("POST", CONFIGURATIONS, LOW_RISK)


def test_the_seed_s_breaker_lives_its_life_at_the_seed_s_paths(gateway: GatewayProcess) -> None:
    created = gateway.ask("POST", f"{BREAKERS}/db", MAX_DRAWDOWN)
    assert created.status == 201
    row, breaker_id = created.content, created.content["id"]
    assert isinstance(breaker_id, int)
    assert {name: row[name] for name in MAX_DRAWDOWN} == MAX_DRAWDOWN
    assert row["created_at"].endswith("Z")
    listed = gateway.ask("GET", f"{BREAKERS}/all?account_id={ACCOUNT_ID}")
    assert (listed.status, listed.content) == (200, [row])
    one = f"{BREAKERS}/db/{breaker_id}"
    disabled = gateway.ask("PUT", f"{one}/disable")
    assert (disabled.status, disabled.content["enabled"]) == (200, False)
    enabled = gateway.ask("PUT", f"{one}/enable")
    assert (enabled.status, enabled.content["enabled"]) == (200, True)
    everywhere = MAX_DRAWDOWN | {"symbols": None, "exchanges": None}
    updated = gateway.ask("PUT", one, everywhere)
    assert updated.status == 200
    assert {name: updated.content[name] for name in MAX_DRAWDOWN} == everywhere
    # The answer is a body too.
    assert gateway.ask("PUT", one, updated.content).content == updated.content
    assert gateway.ask("GET", f"{one}/events").content == []
    deleted = gateway.ask("DELETE", one)
    assert (deleted.status, deleted.content["id"]) == (200, breaker_id)
    assert gateway.ask("GET", f"{BREAKERS}/all").content == []
    assert gateway.ask("DELETE", one).status == 404


def test_events_come_newest_first_by_the_seed_s_names(gateway: GatewayProcess) -> None:
    breaker_id = gateway.ask("POST", f"{BREAKERS}/db", MAX_DRAWDOWN).content["id"]
    for drawdown in (0.11, 0.12):
        gateway.query(
            "INSERT INTO riskgate.circuit_breaker_event"
            " (breaker_id, triggered_values, action_taken, action_result, positions_affected)"
            " VALUES (%s, %s, 'close_position', '{\"success\": true}', %s)",
            breaker_id,
            json.dumps({"drawdown": drawdown}),
            json.dumps([{"symbol": "BTCUSDT", "exchange": "binance"}]),
        )
    one = f"{BREAKERS}/db/{breaker_id}"
    listed = gateway.ask("GET", f"{one}/events")
    assert listed.status == 200, listed.content
    newest, oldest = listed.content
    assert newest["circuit_breaker_id"] == breaker_id
    assert newest["triggered_values"] == {"drawdown": 0.12}
    assert newest["action_taken"] == "close_position"
    assert newest["action_result"] == {"success": True}
    assert newest["positions_affected"] == [{"symbol": "BTCUSDT", "exchange": "binance"}]
    assert newest["timestamp"].endswith("Z")
    page = gateway.ask("GET", f"{one}/events?limit=1")
    assert page.content == [newest]
    token = page.headers["x-next-page-token"]
    assert gateway.ask("GET", f"{one}/events?limit=1&page_token={token}").content == [oldest]
    gateway.ask("DELETE", one)
