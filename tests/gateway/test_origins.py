"""A web page cannot drive the gateway through a browser: foreign names and origins are refused."""

from typing import Any, Final

import pytest

from server.gateway.origins import allowed_names, require_own
from server.gateway.refusals import HostRefusedError, OriginRefusedError
from server.settings import Settings
from tests.gateway_process import REASON, GatewayProcess

NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1", "risk.example"})
ALL: Final = "/api/risk/circuit-breakers/all"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost"},
        {"host": "localhost:8080"},
        {"host": "LOCALHOST:8080"},
        {"host": "127.0.0.1:1"},
        {"host": "[::1]:8080"},
        {"host": "risk.example"},
        {"host": "localhost:8080", "origin": "http://localhost:8080"},
        {"host": "localhost:8080", "sec-fetch-site": "same-origin"},
        {"host": "localhost:8080", "sec-fetch-site": "none"},
    ],
)
def test_a_request_of_our_own_passes(headers: dict[str, str]) -> None:
    require_own(headers, "http", NAMES)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": ""},
        {"host": "evil.example"},
        {"host": "evil.example:8080"},
        {"host": "localhost.evil.example"},
        {"host": "evil.example", "origin": "http://evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "[::2]:8080"},
        {"host": "user@localhost"},
    ],
)
def test_a_foreign_host_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(HostRefusedError):
        require_own(headers, "http", NAMES)


@pytest.mark.parametrize(
    "said",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "https://localhost:8080"},
        {"origin": "http://localhost:9090"},
        {"origin": "http://localhost"},
        {"origin": "http://localhost:8080.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_foreign_origin_is_refused(said: dict[str, str]) -> None:
    with pytest.raises(OriginRefusedError):
        require_own({"host": "localhost:8080"} | said, "http", NAMES)


def test_names_are_those_of_loopback_of_the_address_and_of_the_setting() -> None:
    values: dict[str, Any] = {"http_listen": "10.0.0.7:8080", "http_names": "risk.example,risk"}
    found = allowed_names(Settings(**values))
    assert found == {"localhost", "127.0.0.1", "10.0.0.7", "risk.example", "risk"}


@pytest.mark.parametrize("path", [ALL, "/openapi.json", "/docs", "/healthz", "/nowhere"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_every_path_is_closed_to_them(
    gateway: GatewayProcess, path: str, headers: dict[str, str], status: int
) -> None:
    answer = gateway.ask("GET", path, headers=headers)
    assert answer.status == status
    assert answer.content["code"] == "PERMISSION_DENIED"


def test_a_simple_form_post_of_a_foreign_page_changes_nothing(gateway: GatewayProcess) -> None:
    # What a browser sends without asking first.
    said = REASON | {"Origin": "http://evil.example", "Content-Type": "text/plain"}
    answer = gateway.ask("POST", "/api/risk/circuit-breakers/db", {"name": "x"}, headers=said)
    assert answer.status == 403
    # Nor does it get leave to send more: the preflight is refused too.
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "PUT"}
    preflight = gateway.ask("OPTIONS", ALL, headers=asked)
    assert preflight.status == 403
    assert not [name for name in preflight.headers if name.startswith("access-control")]


def test_answers_may_be_neither_cached_nor_framed(gateway: GatewayProcess) -> None:
    for path in (ALL, "/docs", "/nowhere"):
        found = gateway.ask("GET", path).headers
        assert found["cache-control"] == "no-store"
        assert found["x-content-type-options"] == "nosniff"
        assert found["x-frame-options"] == "DENY"
        assert "server" not in found
        assert "script-src" not in found["content-security-policy"]
        assert found["content-security-policy"].startswith("default-src 'none'")


def test_the_headers_of_a_proxy_are_not_believed(gateway: GatewayProcess) -> None:
    said = {"X-Forwarded-For": "10.9.8.7", "X-Forwarded-Host": "evil.example"}
    refused = gateway.ask("DELETE", "/api/risk/circuit-breakers/db/1", headers=said)
    assert refused.status == 422
    assert gateway.audited("address")[-1] == ("127.0.0.1",)
