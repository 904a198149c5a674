"""What a request must look like: headers, bodies, parameters, conditions."""

import json
import socket
from typing import Any, Final

import pytest

from tests.gateway_process import ACCOUNT_ID, LOW_RISK, GatewayProcess

BREAKERS: Final = "/api/risk/circuit-breakers"
CONFIGURATIONS: Final = "/api/risk/configurations"
BREAKER: Final[dict[str, Any]] = {
    "name": "losses",
    "account_id": ACCOUNT_ID,
    "condition": "daily_loss",
    "action": "block",
    "parameters": {"threshold": 0.05},
}
WHY: Final = {"X-Reason": "limits of the desk"}


def refused(answer: Any) -> tuple[int, str, str]:
    """Return status, code and field of a refusal, which has one form."""
    assert set(answer.content) == {"code", "message", "field"}, answer
    return answer.status, answer.content["code"], answer.content["field"]


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("POST", CONFIGURATIONS),
        ("POST", f"{BREAKERS}/db"),
        ("PUT", f"{BREAKERS}/db/1"),
        ("DELETE", f"{BREAKERS}/db/1"),
        ("PUT", f"{BREAKERS}/db/1/enable"),
        ("PUT", f"{BREAKERS}/db/1/disable"),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"X-Reason": "  "}])
def test_a_change_without_a_reason_is_refused_and_on_record(
    gateway: GatewayProcess, verb: str, path: str, headers: dict[str, str]
) -> None:
    body = BREAKER if "/db/1" not in path or path.endswith("/1") else None
    if path == CONFIGURATIONS:
        body = {"config_id": "a", "account_id": ACCOUNT_ID}
    before = len(gateway.audited("action"))
    answer = gateway.ask(verb, path, None if verb == "DELETE" else body, headers=headers)
    assert refused(answer) == (422, "INVALID_ARGUMENT", "X-Reason")
    assert answer.content["message"] == "a reason is required: X-Reason"
    (row,) = gateway.audited("outcome", "method")[before:]
    assert row[0] == "denied"


def test_the_reason_is_on_record_in_any_script(gateway: GatewayProcess) -> None:
    reason = "Grenze der Händler"
    created = gateway.ask(
        "POST",
        f"{BREAKERS}/db",
        BREAKER,
        # Headers are bytes; this is UTF-8 as http.client can be made to send it.
        headers={"X-Reason": reason.encode().decode("latin-1")},
    )
    assert created.status == 201
    assert gateway.audited("reason")[-1] == (reason,)
    gateway.ask("DELETE", f"{BREAKERS}/db/{created.content['id']}")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b'{"name": "a", "name": "b"}', 400),
        (b'{"parameters": {"threshold": NaN}}', 400),
        (b"1" * 5_000, 400),
        (b"[" * 60_000, 400),
        (b'{"a":' * 17 + b"1" + b"}" * 17, 400),
        (b"[]", 422),
        (b'"text"', 422),
        (b'{"name": "\\ud800"}', 422),
        (b'{"a": "' + b"x" * 70_000 + b'"}', 413),
    ],
)
def test_a_body_that_is_no_usable_json_is_refused(
    gateway: GatewayProcess, body: bytes, status: int
) -> None:
    answer = gateway.ask("POST", f"{BREAKERS}/db", body)
    assert refused(answer)[:2] == (status, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
        "multipart/form-data",
        "",
    ],
)
def test_a_body_that_is_not_declared_as_json_is_refused(gateway: GatewayProcess, kind: str) -> None:
    said = WHY | {"Content-Type": kind}
    answer = gateway.ask("POST", f"{BREAKERS}/db", BREAKER, headers=said)
    assert refused(answer)[0] == 415


def test_a_body_that_is_declared_too_large_is_not_waited_for(gateway: GatewayProcess) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as connection:
        connection.sendall(
            f"POST {BREAKERS}/db HTTP/1.1\r\nHost: localhost\r\nX-Reason: why\r\n"
            "Content-Type: application/json\r\nContent-Length: 65537\r\n\r\n".encode()
        )
        assert connection.recv(4_096).startswith(b"HTTP/1.1 413 ")


def test_a_body_of_unknown_length_is_read_no_further_than_64_kib(gateway: GatewayProcess) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as connection:
        connection.sendall(
            f"POST {BREAKERS}/db HTTP/1.1\r\nHost: localhost\r\nX-Reason: why\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        piece = b"1000\r\n" + b" " * 4_096 + b"\r\n"
        answer = b""
        for _ in range(17):
            connection.sendall(piece)
        answer = connection.recv(4_096)
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"condition": "moon_phase"}, "condition"),
        ({"condition": "MAX_DRAWDOWN"}, "condition"),
        ({"condition": 1}, "condition"),
        ({"action": "sell_everything"}, "action"),
        ({"parameters": {"threshold": "0.1"}}, "parameters.threshold"),
        ({"parameters": {"threshold": True}}, "parameters.threshold"),
        ({"parameters": {"threshold": 2}}, "parameters.threshold"),
        ({"parameters": {"threshold": 1e400}}, "parameters.threshold"),
        ({"parameters": {"depth": 1}}, "parameters.depth"),
        ({"parameters": [1]}, "parameters"),
        ({"symbols": "BTCUSDT"}, "symbols"),
        ({"symbols": ["A", 1]}, "symbols[1]"),
        ({"symbols": ["A", "A"]}, "symbols"),
        ({"enabled": 1}, "enabled"),
        ({"name": None}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"description": "a\0b"}, "description"),
        ({"breaker_id": "7"}, "breaker_id"),
        ({"expected_version": 1}, "expected_version"),
        ({"expected_version": "1"}, "expected_version"),
    ],
)
def test_a_field_at_fault_is_named_as_the_caller_wrote_it(
    gateway: GatewayProcess, change: dict[str, Any], field: str
) -> None:
    answer = gateway.ask("POST", f"{BREAKERS}/db", BREAKER | change)
    if change == {"parameters": {"threshold": 1e400}}:
        # JSON has no such number: Python writes a word that is refused as a body.
        assert answer.status == 400
    else:
        assert refused(answer) == (422, "INVALID_ARGUMENT", field)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (f"{BREAKERS}/all?acount_id=a", "acount_id"),
        (f"{BREAKERS}/all?limit=1&limit=2", "limit"),
        (f"{BREAKERS}/all?account_id=", "account_id"),
        (f"{BREAKERS}/all?account_id={'a' * 65}", "account_id"),
        (f"{BREAKERS}/all?account_id=a%00b", "account_id"),
        (f"{CONFIGURATIONS}?account_id=a%00b", "account_id"),
        (f"{BREAKERS}/all?limit=0", "limit"),
        (f"{BREAKERS}/all?limit=1001", "limit"),
        (f"{BREAKERS}/all?limit=ten", "limit"),
        (f"{BREAKERS}/all?page_token=x", "page_token"),
        (f"{BREAKERS}/db/x/events", "breaker_id"),
        (f"{CONFIGURATIONS}/low_risk", "account_id"),
    ],
)
def test_a_parameter_at_fault_is_named(gateway: GatewayProcess, path: str, field: str) -> None:
    assert refused(gateway.ask("GET", path)) == (422, "INVALID_ARGUMENT", field)


def test_a_stale_version_changes_nothing_and_the_right_one_does(gateway: GatewayProcess) -> None:
    created = gateway.ask("POST", f"{BREAKERS}/db", BREAKER)
    one, tag = f"{BREAKERS}/db/{created.content['id']}", created.headers["etag"]
    assert tag == '"1"'
    changed = gateway.ask(
        "PUT", one, BREAKER | {"action": "alert"}, headers=WHY | {"If-Match": tag}
    )
    assert (changed.status, changed.headers["etag"]) == (200, '"2"')
    stale = gateway.ask("PUT", one, BREAKER, headers=WHY | {"If-Match": tag})
    assert refused(stale)[:2] == (409, "ABORTED")
    inside = gateway.ask("PUT", one, BREAKER | {"expected_version": 1})
    assert refused(inside)[:2] == (409, "ABORTED")
    both = gateway.ask(
        "PUT", one, BREAKER | {"expected_version": 2}, headers=WHY | {"If-Match": tag}
    )
    assert refused(both) == (422, "INVALID_ARGUMENT", "expected_version")
    weak = gateway.ask("PUT", one, BREAKER, headers=WHY | {"If-Match": 'W/"2"'})
    assert refused(weak) == (422, "INVALID_ARGUMENT", "If-Match")
    useless = gateway.ask("DELETE", one, headers=WHY | {"If-Match": tag})
    assert refused(useless) == (422, "INVALID_ARGUMENT", "If-Match")
    new = gateway.ask("POST", f"{BREAKERS}/db", BREAKER, headers=WHY | {"If-Match": tag})
    assert refused(new) == (422, "INVALID_ARGUMENT", "If-Match")
    assert gateway.ask("DELETE", one).status == 200


def test_saving_a_configuration_with_a_version_never_creates_one(gateway: GatewayProcess) -> None:
    body = {"config_id": "none", "account_id": ACCOUNT_ID, "expected_version": 1}
    names = LOW_RISK.keys() - {"config_id", "account_id", "is_active", "symbol_configs"}
    names -= {"market_regime_thresholds"}
    answer = gateway.ask("POST", CONFIGURATIONS, body | dict.fromkeys(names, 1))
    assert refused(answer)[:2] == (404, "NOT_FOUND")


def test_what_is_in_the_way_is_a_conflict(gateway: GatewayProcess) -> None:
    created = gateway.ask("POST", f"{BREAKERS}/db", BREAKER)
    assert refused(gateway.ask("POST", f"{BREAKERS}/db", BREAKER))[:2] == (409, "ALREADY_EXISTS")
    elsewhere = gateway.ask("POST", f"{BREAKERS}/db", BREAKER | {"account_id": "nobody"})
    assert refused(elsewhere)[:2] == (409, "FAILED_PRECONDITION")
    one = f"{BREAKERS}/db/{created.content['id']}"
    other = gateway.ask("PUT", one, BREAKER | {"breaker_id": "999"})
    assert refused(other) == (422, "INVALID_ARGUMENT", "breaker_id")
    gateway.ask("DELETE", one)


@pytest.mark.parametrize("verb", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD"])
def test_a_verb_that_a_path_does_not_have_is_refused(gateway: GatewayProcess, verb: str) -> None:
    answer = gateway.ask(verb, f"{BREAKERS}/all")
    assert (answer.status, answer.headers["allow"]) == (405, "GET")
    one = gateway.ask("PATCH", f"{BREAKERS}/db/1")
    assert (one.status, one.headers["allow"]) == (405, "DELETE, PUT")


@pytest.mark.parametrize("path", ["/", "/api", f"{BREAKERS}/all/", f"{BREAKERS}/db/1/2/events"])
def test_a_path_that_does_not_exist_is_not_found(gateway: GatewayProcess, path: str) -> None:
    assert refused(gateway.ask("GET", path))[:2] == (404, "NOT_FOUND")


def test_several_requests_fit_on_one_connection(gateway: GatewayProcess) -> None:
    connection = gateway.connect()
    for _ in range(3):
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        assert json.loads(answer.read()) == {"status": "SERVING"}
    connection.close()
