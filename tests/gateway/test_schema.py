"""The description and what is behind it agree, and nothing a client sends ends in a 5xx."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from riskgate.v1 import breaker_pb2, risk_config_pb2
from server.gateway.operations import OPERATIONS
from server.security.rights import RIGHTS
from tests.gateway_process import LOW_RISK, MAX_DRAWDOWN, GatewayProcess

BREAKERS: Final = "/api/risk/circuit-breakers"
CONFIGURATIONS: Final = "/api/risk/configurations"
SEED_FILE_PATHS: Final = {
    ("GET", "/api/risk/configurations"),
    ("GET", "/api/risk/configurations/{config_id}"),
    ("POST", "/api/risk/configurations"),
    ("GET", "/api/risk/circuit-breakers/all"),
    ("POST", "/api/risk/circuit-breakers/db"),
    ("PUT", "/api/risk/circuit-breakers/db/{breaker_id}"),
    ("DELETE", "/api/risk/circuit-breakers/db/{breaker_id}"),
    ("PUT", "/api/risk/circuit-breakers/db/{breaker_id}/enable"),
    ("PUT", "/api/risk/circuit-breakers/db/{breaker_id}/disable"),
    ("GET", "/api/risk/circuit-breakers/db/{breaker_id}/events"),
}
# Not asked for: that what the schema allows is accepted. Ranges stand in the contract, and rules
# such as accounts on record in no schema at all.
UNSUITABLE: Final = "positive_data_acceptance"
NASTY: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 0.1, -0.0, 1e-300, 1e308, -1e308, 2**31, 2**53 + 1, 2**63),
    *(2**64, 10**400, "", " ", "0", "a", "a\0b", "\ud800", "\u202e", "a" * 70, "a" * 2_000),
    *("\U0001f4a9", "' OR 1=1 --", "../..", "%00", "NaN", "2026-01-01T00:00:00Z", [], [[]], {}),
    *([None], [0], [""], ["a"] * 300, [{}], {"": 0}, {"a": {}}, {"a": {"multiplier": 1e308}}),
    *({"threshold": 1e308}, {"threshold": 0.1, "multiplier": -1}, {"seconds": 1}),
)


def explore(gateway: GatewayProcess, folder: Path, *options: str) -> None:
    """Let schemathesis call every operation; fail with what it says if it finds anything."""
    location = f"http://127.0.0.1:{gateway.port}/openapi.json"
    script = Path(sys.executable).with_name("schemathesis")
    done = subprocess.run(
        [
            *(str(script), "run", location, "--checks=all", f"--exclude-checks={UNSUITABLE}"),
            *("--continue-on-failure", "--warnings=off", *options),
        ],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"(\d+) generated", done.stdout)
    assert found, done.stdout
    assert int(found[1]) > 100
    assert gateway.ask("GET", "/healthz").status == 200
    assert "Traceback" not in gateway.log_path.read_text(encoding="utf-8")


def test_schemathesis_finds_nothing(gateway: GatewayProcess, tmp_path: Path) -> None:
    explore(
        gateway, tmp_path, "--phases=examples,fuzzing,stateful", "--max-examples=10", "--seed=1"
    )


@pytest.mark.campaign
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_schemathesis_finds_nothing_in_a_long_run(
    gateway: GatewayProcess, tmp_path: Path, seed: int
) -> None:
    explore(gateway, tmp_path, "--max-examples=300", f"--seed={seed}")


@pytest.mark.parametrize("values", [NASTY[::5], pytest.param(NASTY, marks=pytest.mark.campaign)])
@pytest.mark.parametrize(
    ("verb", "path", "sample"),
    [
        ("POST", CONFIGURATIONS, LOW_RISK | {"is_active": False, "max_leverage": 2}),
        ("POST", f"{BREAKERS}/db", MAX_DRAWDOWN),
        ("PUT", f"{BREAKERS}/db/1", MAX_DRAWDOWN),
    ],
)
def test_no_value_of_any_field_ends_in_a_5xx(
    gateway: GatewayProcess, verb: str, path: str, sample: dict[str, Any], values: tuple[Any, ...]
) -> None:
    message = risk_config_pb2.RiskConfiguration if path == CONFIGURATIONS else None
    names = (message or breaker_pb2.CircuitBreaker).DESCRIPTOR.fields_by_name
    statuses = set()
    for name in {*names, "id", "expected_version"}:
        for number, value in enumerate(values):
            own = {"config_id": f"c{number}"} if message else {"name": f"{name}{number}"}
            answer = gateway.ask(verb, path, sample | own | {name: value})
            assert answer.status < 500, (name, value, answer.content)
            statuses.add(answer.status)
    assert {422} < statuses
    for name in sorted(sample["symbol_configs"][0]) if message else ():
        for value in values:
            inner = [sample["symbol_configs"][0] | {name: value}]
            answer = gateway.ask(verb, path, sample | {"symbol_configs": inner})
            assert answer.status < 500, (name, value, answer.content)


def test_the_paths_are_those_of_the_seed_and_health() -> None:
    assert {(each.verb, each.path) for each in OPERATIONS} == {
        *SEED_FILE_PATHS,
        ("GET", "/healthz"),
    }


def test_what_changes_something_over_http_is_what_the_contract_says_does() -> None:
    for operation in OPERATIONS:
        right = RIGHTS.get(operation.method)
        assert operation.mutates == (right is not None and right.mutates), operation


def test_every_field_of_the_contract_is_described(gateway: GatewayProcess) -> None:
    schemas = gateway.ask("GET", "/openapi.json").content["components"]["schemas"]
    for message, name in (
        (risk_config_pb2.RiskConfiguration, "RiskConfiguration"),
        (breaker_pb2.CircuitBreaker, "CircuitBreaker"),
    ):
        fields = set(message.DESCRIPTOR.fields_by_name)
        assert set(schemas[f"{name}Row"]["properties"]) == fields | {"id"}
        answered = {"breaker_id", "version", "created_at", "updated_at"}
        assert set(schemas[name]["properties"]) == fields - answered | {"expected_version"}


def test_the_description_says_how_callers_are_known_and_what_every_change_needs(
    gateway: GatewayProcess,
) -> None:
    document = gateway.ask("GET", "/openapi.json").content
    assert document["components"]["securitySchemes"]["certificate"]["type"] == "mutualTLS"
    for verbs in document["paths"].values():
        for verb, operation in verbs.items():
            assert operation["security"] == [{"certificate": []}]
            assert {"401", "403", "421", "422", "429", "503"} < set(operation["responses"])
            needed = {each["name"] for each in operation["parameters"] if each["required"]}
            assert ("X-Reason" in needed) == (verb != "get")


def test_the_page_can_be_read_with_no_network(gateway: GatewayProcess) -> None:
    page = gateway.ask("GET", "/docs").content
    for operation in OPERATIONS:
        assert f"<code>{operation.verb} {operation.path}</code>" in page
    assert "<script" not in page
    assert not re.search(r"(src|href)='?\"?(https?:)?//", page)
