"""Where the engines of a stack listen: one as the settings say, several side by side."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from server.addresses import split_address
from server.cli import app
from server.engine_ports import EnginePorts, address_of_shard, check_ports, open_ports
from server.errors import ConfigurationError
from server.settings import load_settings

TLS = {"insecure_loopback": False}


@contextmanager
def opened(data_dir: Path, **said: Any) -> Iterator[list[EnginePorts]]:
    values = {
        "decision_listen": "127.0.0.1:0",
        "metrics_listen": "127.0.0.1:0",
        "lane": "compiled",
        **said,
    }
    ports = open_ports(load_settings(data_dir=data_dir, **values))
    try:
        yield ports
    finally:
        for each in ports:
            each.close()


def free_ports(count: int) -> int:
    """Return the first of some ports in a row that are free now."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            number: int = first.getsockname()[1]
        try:
            for other in range(number, number + count):
                socket.create_server(("127.0.0.1", other)).close()
        except (OSError, OverflowError):
            continue
        return number


def test_open_when_the_lane_is_grpcio_then_the_engine_binds_for_itself(tmp_path: Path) -> None:
    with opened(tmp_path, lane="grpcio") as (ports,):
        assert ports.decision == ports.decision_to_dial
        assert not ports.decision.endswith(":0")
        assert ports.listeners == {}


def test_open_when_grpcio_speaks_tls_then_the_engine_is_told_of_a_socket_for_this_machine(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, lane="grpcio", shards=2, **TLS) as engines:
        sockets = [f"unix:{tmp_path}/run/decision.sock{suffix}" for suffix in ("", ".1")]
        assert [ports.decision_to_dial for ports in engines] == sockets
        told = [ports.to_variables()["RISKGATE_DECISION_LOCAL_LISTEN"] for ports in engines]
        assert told == sockets
        assert all(ports.decision.startswith("127.0.0.1:") for ports in engines)
        assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
        # As an engine does that is killed.
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(f"{tmp_path}/run/decision.sock")
    assert list((tmp_path / "run").iterdir()) == []


def test_open_when_something_else_has_the_place_of_the_socket_then_it_stays(
    tmp_path: Path,
) -> None:
    (tmp_path / "run").mkdir()
    place = tmp_path / "run" / "decision.sock"
    place.write_text("a file", encoding="ascii")
    with (
        pytest.raises(ConfigurationError, match="is no socket"),
        opened(tmp_path, lane="grpcio", **TLS),
    ):
        pass
    assert place.read_text(encoding="ascii") == "a file"


def test_open_when_the_lane_is_compiled_then_the_socket_is_ours(tmp_path: Path) -> None:
    with opened(tmp_path) as (ports,):
        assert ports.decision == ports.decision_to_dial
        assert list(ports.listeners) == ["RISKGATE_DECISION_FD"]
        assert list(ports.descriptors()) == ["RISKGATE_DECISION_FD"]
        assert ports.to_variables()["RISKGATE_SHARD"] == "0/1"


def test_open_when_it_speaks_tls_then_this_machine_has_a_socket_of_its_own(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, **TLS) as (ports,):
        assert ports.decision.startswith("127.0.0.1:")
        assert ports.decision_to_dial == f"unix:{tmp_path}/run/decision.sock"
        assert list(ports.listeners) == ["RISKGATE_DECISION_FD", "RISKGATE_DECISION_LOCAL_FD"]
    assert not (tmp_path / "run" / "decision.sock").exists()


@pytest.mark.parametrize(
    ("lane", "inherited"), [("compiled", ["RISKGATE_DECISION_FD"]), ("grpcio", [])]
)
def test_open_when_the_directory_is_too_deep_for_a_socket_then_all_dial_the_port(
    tmp_path: Path, lane: str, inherited: list[str]
) -> None:
    # The first engine's path would just fit, the second's would not.
    deep = tmp_path / ("x" * (107 - len(str(tmp_path)) - len("//run/decision.sock")))
    with opened(deep, shards=2, lane=lane, **TLS) as engines:
        assert [ports.decision_to_dial for ports in engines] == [each.decision for each in engines]
        assert all(list(each.listeners) == inherited for each in engines)
        assert not any("RISKGATE_DECISION_LOCAL_LISTEN" in each.to_variables() for each in engines)


def test_open_when_the_port_is_taken_then_the_stack_does_not_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(ConfigurationError, match="in use"),
            opened(tmp_path, decision_listen=address),
        ):
            pass


def test_open_when_there_are_several_engines_then_each_has_addresses_of_its_own(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, shards=3, **TLS) as engines:
        assert [str(ports.shard) for ports in engines] == ["0/3", "1/3", "2/3"]
        assert [ports.decision_to_dial for ports in engines] == [
            f"unix:{tmp_path}/run/decision.sock{suffix}" for suffix in ("", ".1", ".2")
        ]
        addresses = [each for ports in engines for each in (ports.decision, ports.metrics)]
        assert len(set(addresses)) == 6
        assert len({number for ports in engines for number in ports.descriptors().values()}) == 6
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("lane", ["compiled", "grpcio"])
def test_open_when_a_port_is_named_then_the_engines_follow_each_other(
    tmp_path: Path, lane: str
) -> None:
    number = free_ports(4)
    said = {
        "decision_listen": f"127.0.0.1:{number}",
        "metrics_listen": f"127.0.0.1:{number + 2}",
    }
    with opened(tmp_path, shards=2, lane=lane, **said) as engines:
        found = [(split_address(one.decision)[1], split_address(one.metrics)[1]) for one in engines]
    assert found == [(number, number + 2), (number + 1, number + 3)]


def test_open_when_the_port_of_a_later_engine_is_taken_then_nothing_stays_open(
    tmp_path: Path,
) -> None:
    number = free_ports(2)
    said = {"decision_listen": f"127.0.0.1:{number}", "shards": 2}
    with (
        socket.create_server(("127.0.0.1", number + 1)),
        pytest.raises(ConfigurationError, match=f"127.0.0.1:{number + 1}"),
        opened(tmp_path, **said),
    ):
        pass
    socket.create_server(("127.0.0.1", number)).close()


@pytest.mark.parametrize(
    ("address", "index", "expected"),
    [
        ("127.0.0.1:50051", 0, "127.0.0.1:50051"),
        ("127.0.0.1:50051", 3, "127.0.0.1:50054"),
        ("[::1]:7", 1, "[::1]:8"),
        ("127.0.0.1:0", 2, "127.0.0.1:0"),
        ("unix:/run/a.sock", 0, "unix:/run/a.sock"),
        ("unix:/run/a.sock", 2, "unix:/run/a.sock.2"),
    ],
)
def test_address_of_shard_when_the_engines_are_counted_then_each_has_the_next(
    address: str, index: int, expected: str
) -> None:
    assert address_of_shard(address, index) == expected


@pytest.mark.parametrize(
    ("said", "name"),
    [
        # As it is by default: control has the port behind that of the decisions.
        ({}, "decision_listen"),
        ({"decision_listen": "127.0.0.1:9463"}, "metrics_listen"),
        ({"decision_listen": "127.0.0.1:65535"}, "decision_listen"),
        ({"decision_listen": "unix:/" + "x" * 105}, "decision_listen"),
        ({"decision_listen": "127.0.0.1:0", "metrics_listen": "127.0.0.1:50051"}, "metrics_listen"),
    ],
)
def test_check_when_the_ports_of_several_engines_collide_then_names_the_setting(
    said: dict[str, str], name: str
) -> None:
    check_ports(load_settings(**said))
    with pytest.raises(ConfigurationError) as caught:
        check_ports(load_settings(shards=2, **said))
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [name]
    assert "(2 shards)" in str(caught.value)


def test_check_when_there_is_room_then_several_engines_are_fine() -> None:
    check_ports(load_settings(shards=64, decision_listen="127.0.0.1:0", metrics_listen="h:1000"))
    check_ports(load_settings(shards=2, control_listen="127.0.0.1:50050"))


def test_serve_when_asked_to_check_then_finds_ports_that_collide() -> None:
    result = CliRunner().invoke(app, ["serve", "--check-config", "--shards", "2"])
    assert result.exit_code == 1
    assert "decision_listen: port 50052 is taken by control_listen" in result.stderr


@pytest.mark.parametrize("text", ["2/2", "1", "a/2", "0/65", "0/0", "-1/2", "0/2/3", "", "١/2"])
def test_engine_when_its_shard_is_no_shard_then_says_what_one_is(text: str, tmp_path: Path) -> None:
    words = ["engine", "--shard", text, "--data-dir", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "shard: must be I/N with I from 0 to N - 1" in result.stderr
