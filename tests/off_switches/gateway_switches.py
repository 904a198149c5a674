"""Off-switches of the HTTP gateway: who gets in, on whose behalf, and how much is read."""

from typing import Final

from tests.off_switches.switch import Switch

_IDENTITY: Final = "tests/gateway/test_identity.py::"
_LISTENING: Final = "tests/gateway/test_listening.py::"
_ORIGINS: Final = "tests/gateway/test_origins.py::"
_REQUESTS: Final = "tests/gateway/test_requests.py::"
_TLS: Final = "server/gateway/tls.py"

GATEWAY: Final = (
    Switch(
        "HTTP agrees on TLS 1.3 only",
        "T1",
        _TLS,
        "context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3",
        f"{_IDENTITY}test_tls_1_2_and_plaintext_are_refused",
        "context.minimum_version = ssl.TLSVersion.TLSv1_2",
    ),
    Switch(
        "HTTP asks every client for a certificate",
        "T1",
        _TLS,
        "context.verify_mode = ssl.CERT_REQUIRED",
        f"{_IDENTITY}test_nobody_gets_in_without_a_certificate_of_our_authority",
        "context.verify_mode = ssl.CERT_NONE",
    ),
    Switch(
        "HTTP without TLS stays on loopback",
        "T1",
        "server/settings.py",
        'for name in ("decision_listen", "control_listen", "http_listen")',
        f"{_LISTENING}test_plaintext_is_refused_on_what_others_can_reach",
        'for name in ("decision_listen", "control_listen")',
    ),
    Switch(
        "a request is judged as the call that it stands for",
        "T2",
        "server/gateway/endpoints.py",
        "async with self._admission.judged(visit, context):",
        f"{_IDENTITY}test_a_trader_may_not_create_and_that_is_on_record",
        "if visit:",
    ),
    Switch(
        "a request must fulfil what its call demands",
        "T13",
        "server/gateway/endpoints.py",
        "await self._admission.checks.require(visit, message, context)",
        f"{_REQUESTS}test_a_change_without_a_reason_is_refused_and_on_record",
        "_ = visit",
    ),
    Switch(
        "HTTP is answered under a name of its own only",
        "T2",
        "server/gateway/origins.py",
        "if _name_of(host) not in names:",
        f"{_ORIGINS}test_a_foreign_host_is_refused",
    ),
    Switch(
        "HTTP refuses pages of another origin",
        "T2",
        "server/gateway/origins.py",
        'if origin is not None and origin.lower() != f"{scheme}://{host}":',
        f"{_ORIGINS}test_a_foreign_origin_is_refused",
    ),
    Switch(
        "HTTP refuses what a page of another site has caused",
        "T2",
        "server/gateway/origins.py",
        'if headers.get("sec-fetch-site", "none") not in _OWN_SITES:',
        f"{_ORIGINS}test_a_foreign_origin_is_refused",
    ),
    Switch(
        "no path of HTTP is outside its guard",
        "T2",
        "server/gateway/application.py",
        "return OriginGuard(application, names)",
        f"{_ORIGINS}test_every_path_is_closed_to_them",
        "return application if names else OriginGuard(application, names)",
    ),
    Switch(
        "a body of HTTP is JSON by its own word",
        "T2",
        "server/gateway/requests.py",
        'if kind.strip().lower() != "application/json" or charset not in {"", "charset=utf-8"}:',
        f"{_REQUESTS}test_a_body_that_is_not_declared_as_json_is_refused",
    ),
    Switch(
        "a declared body of HTTP has a bound",
        "T10",
        "server/gateway/requests.py",
        "if not declared.isdecimal() or int(declared[:9]) > BODY_BYTES_MAX:",
        f"{_REQUESTS}test_a_body_that_is_declared_too_large_is_not_waited_for",
        said="timed out",
    ),
    Switch(
        "the connections of HTTP have a bound",
        "T10",
        "server/gateway/listening.py",
        "if len(self.connections) > CONNECTIONS_MAX:",
        f"{_LISTENING}test_a_connection_too_many_is_closed_and_the_others_are_served",
    ),
)
