"""The authority's list of revoked certificates, as the control port reads it."""

import errno
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from server.errors import UnavailableError
from server.security.revoked_certificates import LOOK_INTERVAL_NS, RevokedCertificates
from tests.certificates import Authority


class World:
    """An authority, its list, and a reader whose clock moves by hand."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority()
        self.path = folder / "ca.crl"
        ca, _ = self.authority.issued.write(folder, "ca")
        self.now_ns = 0
        self.reader = RevokedCertificates(self.path, ca, read_clock_ns=lambda: self.now_ns)

    def write(
        self, *serials: int, signer: Authority | None = None, age: timedelta = timedelta()
    ) -> None:
        authority, now = (signer or self.authority).issued, datetime.now(UTC) - age
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(authority.certificate.subject)
            .last_update(now)
            .next_update(now + timedelta(days=1))
        )
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            builder = builder.add_revoked_certificate(entry.build())
        content = builder.sign(authority.key, SHA256()).public_bytes(Encoding.PEM)
        self.path.unlink(missing_ok=True)
        self.path.write_bytes(content)

    def later(self, serial: int) -> bool:
        """Ask once the next look at the file is due."""
        self.now_ns += LOOK_INTERVAL_NS
        return self.reader.holds(serial)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_nothing_is_revoked_where_no_list_is_named() -> None:
    assert not RevokedCertificates(None, None).holds(1)


def test_a_list_that_is_named_but_missing_lets_nobody_in(world: World) -> None:
    for _ in range(2):
        with pytest.raises(UnavailableError, match="list of revoked certificates"):
            world.later(1)
    world.write(2)
    assert [world.later(serial) for serial in (1, 2)] == [False, True]


def test_a_list_is_seen_a_quarter_of_a_second_later_and_not_before(world: World) -> None:
    world.write()
    assert not world.later(1)
    world.write(1)
    world.now_ns += LOOK_INTERVAL_NS - 1
    assert not world.reader.holds(1)
    world.now_ns += 1
    assert world.reader.holds(1)
    assert not world.reader.holds(2)


def test_a_longer_list_replaces_the_one_before(world: World) -> None:
    world.write(1)
    assert [world.later(serial) for serial in (1, 2)] == [True, False]
    world.write(1, 2)
    assert [world.later(serial) for serial in (1, 2)] == [True, True]


@pytest.mark.parametrize("spoil", ["garbage", "unsigned", "gone"])
def test_a_list_that_is_spoilt_leaves_the_last_good_one_in_force(world: World, spoil: str) -> None:
    world.write(1)
    assert world.later(1)
    if spoil == "garbage":
        world.path.write_bytes(b"no list")
    elif spoil == "unsigned":
        world.write(2, signer=Authority())
    else:
        world.path.unlink()
    assert [world.later(serial) for serial in (1, 2)] == [True, False]
    world.write(1, 2)
    assert [world.later(serial) for serial in (1, 2)] == [True, True]


def test_without_one_good_list_nobody_can_say_who_is_revoked(world: World) -> None:
    world.write(1, signer=Authority("somebody else"))
    for _ in range(2):
        with pytest.raises(UnavailableError, match="list of revoked certificates"):
            world.later(2)
    world.write(1)
    assert not world.later(2)


def test_an_older_list_of_the_same_authority_lets_nobody_back_in(world: World) -> None:
    world.write(1)
    assert world.later(1)
    world.write(age=timedelta(hours=1))
    assert world.later(1)


def test_a_list_that_could_not_be_read_is_read_at_the_next_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write()
    assert not world.later(1)
    world.write(1)

    def refuse(_: Path) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        assert not world.later(1)
    assert world.later(1)
