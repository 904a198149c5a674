from pathlib import Path

import pytest

from server.errors import ConfigurationError
from server.settings import load_settings, split_address

TLS = {
    "lane": "compiled",
    "tls_certificate": "server.pem",
    "tls_key": "server.key",
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
        database_url="postgresql://a:hunter2@b/c", redis_url="redis://:hunter2@d"
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


@pytest.mark.parametrize(
    "address", ["127.0.0.1:0", "127.8.0.1:1", "[::1]:0", "localhost:0", "unix:/run/decision.sock"]
)
def test_load_when_the_decision_port_stays_on_this_machine_then_needs_no_tls(address: str) -> None:
    assert load_settings(decision_listen=address).decision_listen == address


@pytest.mark.parametrize("address", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "localhost.example:1"])
def test_load_when_the_decision_port_leaves_this_machine_in_the_clear_then_refuses(
    address: str,
) -> None:
    with pytest.raises(ConfigurationError, match="decision_listen: beyond loopback without TLS"):
        load_settings(decision_listen=address)
    allowed = load_settings(decision_listen=address, insecure_decision_listen=True)
    encrypted = load_settings(decision_listen=address, **TLS)
    assert allowed.decision_listen == encrypted.decision_listen == address


def test_load_when_tls_files_are_relative_then_they_come_back_absolute(tmp_path: Path) -> None:
    settings = load_settings(**TLS, tls_client_ca="ca.pem")
    assert settings.tls_certificate == tmp_path / "server.pem"
    assert settings.tls_key == tmp_path / "server.key"
    assert settings.tls_client_ca == tmp_path / "ca.pem"


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"tls_certificate": "a"}, "tls_key"),
        ({"tls_key": "a"}, "tls_certificate"),
        ({"tls_client_ca": "a"}, "tls_client_ca"),
        ({**TLS, "lane": "grpcio"}, "lane"),
    ],
)
def test_load_when_tls_settings_contradict_each_other_then_names_the_one_to_mend(
    said: dict[str, str], name: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**{"lane": "compiled", **said})
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [name]


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
