from pathlib import Path
from typing import Any

import pytest

from server.addresses import split_address
from server.errors import ConfigurationError
from server.settings import load_settings, uses_development_pki

TLS = {
    "lane": "compiled",
    "tls_certificate": "server.pem",
    "tls_key": "server.key",
    "tls_client_ca": "ca.pem",
}


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("RISKGATE_"):
            monkeypatch.delenv(name)


def test_load_when_nothing_is_said_then_binds_to_loopback_and_embeds_everything(
    tmp_path: Path,
) -> None:
    settings = load_settings()
    for address in (
        settings.decision_listen,
        settings.control_listen,
        settings.metrics_listen,
    ):
        assert split_address(address)[0] == "127.0.0.1"
    assert settings.database_url is None
    assert settings.redis_url is None
    assert settings.data_dir == tmp_path / ".riskgate"


def test_load_when_all_sources_speak_then_the_nearest_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "riskgate.toml").write_text(
        'capacity_accounts = 100\ncapacity_providers = 100\nlog_level = "DEBUG"\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("RISKGATE_CAPACITY_ACCOUNTS", "200")
    monkeypatch.setenv("RISKGATE_CAPACITY_PROVIDERS", "200")
    settings = load_settings(capacity_accounts=300, capacity_providers=None)
    assert settings.capacity_accounts == 300
    assert settings.capacity_providers == 200
    assert settings.log_level == "DEBUG"


def test_load_when_a_yaml_file_is_named_then_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.yaml").write_text("shutdown_grace_ms: 7\n", encoding="utf-8")
    monkeypatch.setenv("RISKGATE_SETTINGS_FILE", "other.yaml")
    assert load_settings().shutdown_grace_ms == 7


def test_load_when_several_settings_are_wrong_then_reports_all_without_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RISKGATE_DECISION_LISTEN", "not-an-address-4711")
    monkeypatch.setenv("RISKGATE_CAPACITY_ACCOUNTS", "1")
    monkeypatch.setenv("RISKGATE_LANE", "secret-lane")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(unknown_setting=1)
    names = {problem.partition(":")[0] for problem in caught.value.problems}
    assert names == {"decision_listen", "capacity_accounts", "lane", "unknown_setting"}
    assert "4711" not in str(caught.value)
    assert "secret-lane" not in str(caught.value)


@pytest.mark.parametrize("name", ["riskgate.toml", "riskgate.yaml"])
def test_load_when_the_file_is_malformed_then_says_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a: [b\n= {", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="settings file"):
        load_settings()


def test_load_when_both_files_exist_then_refuses(tmp_path: Path) -> None:
    (tmp_path / "riskgate.toml").touch()
    (tmp_path / "riskgate.yaml").touch()
    with pytest.raises(ConfigurationError, match="keep one"):
        load_settings()


def test_repr_when_urls_hold_passwords_then_masks_them() -> None:
    settings = load_settings(
        database_url="postgresql://a:hunter2@b/c", redis_url="rediss://:hunter2@d"
    )
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)
    assert settings.database_url_text() == "postgresql://a:hunter2@b/c"


def test_settings_when_changed_then_refuse() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        setattr(settings, "lane", "grpcio")  # noqa: B010 - the type checker refuses it too


@pytest.mark.parametrize("address", ["50051", "localhost", "host:70000", ":1", "host:-1", "h:x"])
def test_load_when_an_address_is_malformed_then_refuses(address: str) -> None:
    with pytest.raises(ConfigurationError, match="control_listen"):
        load_settings(control_listen=address)


def test_split_address_when_it_is_ipv6_then_strips_the_brackets() -> None:
    assert split_address("[::1]:50051") == ("::1", 50051)


@pytest.mark.parametrize(
    "address", ["unix:relative.sock", "unix:", "unix:/", "unix:/folder/", "unix:/" + "x" * 107]
)
def test_load_when_a_socket_path_is_malformed_then_refuses(address: str) -> None:
    with pytest.raises(ConfigurationError, match="decision_listen"):
        load_settings(decision_listen=address)


def test_load_when_the_control_port_is_a_socket_path_then_refuses() -> None:
    with pytest.raises(ConfigurationError, match="control_listen"):
        load_settings(control_listen="unix:/run/control.sock")


@pytest.mark.parametrize("name", ["decision_listen", "control_listen"])
@pytest.mark.parametrize("address", ["127.0.0.1:0", "127.8.0.1:1", "[::1]:0", "localhost:0"])
def test_load_when_plaintext_stays_on_this_machine_then_it_may_be(name: str, address: str) -> None:
    settings = load_settings(insecure_loopback=True, **{name: address})
    assert getattr(settings, name) == address


def test_load_when_decisions_go_over_a_socket_then_plaintext_may_be() -> None:
    settings = load_settings(insecure_loopback=True, decision_listen="unix:/run/decision.sock")
    assert settings.decision_listen == "unix:/run/decision.sock"


@pytest.mark.parametrize("name", ["decision_listen", "control_listen"])
@pytest.mark.parametrize("address", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "localhost.example:1"])
def test_load_when_plaintext_would_leave_this_machine_then_refuses(name: str, address: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}: without TLS"):
        load_settings(insecure_loopback=True, **{name: address})
    encrypted = load_settings(**TLS, **{name: address})
    assert getattr(encrypted, name) == address


def test_load_when_nothing_is_said_about_tls_then_the_data_directory_has_it(tmp_path: Path) -> None:
    settings = load_settings()
    folder = tmp_path / ".riskgate" / "pki"
    assert not settings.insecure_loopback
    assert settings.tls_certificate == folder / "server.crt"
    assert settings.tls_key == folder / "server.key"
    assert settings.tls_client_ca == folder / "ca.crt"
    assert settings.tls_crl == folder / "ca.crl"
    assert uses_development_pki(settings)


def test_load_when_a_child_is_told_the_same_then_it_finds_the_same(tmp_path: Path) -> None:
    settings = load_settings()
    told = {name: getattr(settings, name) for name in ("tls_crl", *TLS) if name != "lane"}
    assert load_settings(**told) == settings


@pytest.mark.parametrize("lane", ["compiled", "grpcio"])
def test_load_when_tls_files_are_relative_then_they_come_back_absolute(
    tmp_path: Path, lane: str
) -> None:
    settings = load_settings(**{**TLS, "lane": lane})
    assert settings.tls_certificate == tmp_path / "server.pem"
    assert settings.tls_key == tmp_path / "server.key"
    assert settings.tls_client_ca == tmp_path / "ca.pem"
    assert settings.tls_crl is None
    assert not uses_development_pki(settings)


def test_load_when_loopback_is_insecure_then_there_are_no_files() -> None:
    settings = load_settings(insecure_loopback=True)
    assert settings.tls_certificate is settings.tls_client_ca is settings.tls_crl is None


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ({"tls_certificate": "a"}, ["tls_key", "tls_client_ca"]),
        ({"tls_certificate": "a", "tls_key": "b"}, ["tls_client_ca"]),
        ({"tls_key": "a", "tls_client_ca": "b"}, ["tls_certificate"]),
        ({"tls_crl": "a"}, ["tls_certificate", "tls_key", "tls_client_ca"]),
        ({**TLS, "insecure_loopback": True}, ["insecure_loopback"]),
        ({"tls_crl": "a", "insecure_loopback": True}, ["insecure_loopback"]),
    ],
)
def test_load_when_tls_settings_contradict_each_other_then_names_what_to_mend(
    said: dict[str, Any], names: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**said)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == names


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [
        ("unix://riskgate:hunter2@/run/redis.sock?db=0", True),
        ("redis://localhost:6379/0", True),
        ("redis://[::1]:6379/0", True),
        ("rediss://riskgate:hunter2@redis.example:6379/0", True),
        ("redis://riskgate:hunter2@redis.example:6379/0", False),
        ("redis://10.1.2.3", False),
        ("rediss://riskgate:hunter2@redis.example?ssl_cert_reqs=none", False),
        ("rediss://redis.example?ssl_check_hostname=False", False),
        ("redis://[hunter2", False),
    ],
)
def test_load_when_redis_is_elsewhere_then_tls_is_needed(url: str, is_taken: bool) -> None:
    if is_taken:
        assert load_settings(redis_url=url).redis_url_text() == url
        return
    with pytest.raises(ConfigurationError, match="redis_url: only by unix://") as caught:
        load_settings(redis_url=url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("busy_poll_us", 10_001),
        ("busy_poll_us", -1),
        ("connections_max", 0),
        ("connection_idle_ms_max", 0),
        ("request_timeout_ms", 0),
        ("lane_stall_ms", 10),
        ("lane", "c++"),
    ],
)
def test_load_when_a_bound_of_the_lane_is_out_of_range_then_refuses(name: str, value: int) -> None:
    with pytest.raises(ConfigurationError, match=name):
        load_settings(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("durability", "tape"),
        ("journal_segment_bytes", 1 << 19),
        ("journal_segment_bytes", (1 << 20) + 1),
        ("journal_segment_bytes", 1 << 31),
        ("journal_budget_bytes", (1 << 28) - 1),  # four segments of the default size
        ("snapshot_interval_entries", 0),
    ],
)
def test_load_when_a_bound_of_the_journal_is_out_of_range_then_refuses(
    name: str, value: object
) -> None:
    with pytest.raises(ConfigurationError, match=name):
        load_settings(**{name: value})


def test_load_when_the_journal_is_small_then_four_segments_are_enough() -> None:
    small = load_settings(journal_segment_bytes=1 << 20, journal_budget_bytes=1 << 22)
    assert small.journal_budget_bytes == 4 * small.journal_segment_bytes
