"""The development authority: what it issues, renews and revokes, and who may read its keys."""

import stat
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from cryptography import x509

from server.embedded.process import wait_until
from server.errors import ConfigurationError, InvalidFieldError, NotFoundError
from server.security import certificate_building, pki_renewal
from server.security import pki as pki_module
from server.security.identity_name import parse_identity
from server.security.peer_certificate import Finding, PeerRefusedError, judge
from server.security.pki import Pki
from server.security.pki_renewal import ensure_pki, operator_uri
from server.settings import load_settings

OPERATOR = operator_uri("riskgate")
DESK = "spiffe://riskgate/trader/desk-7"


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    made = Pki(tmp_path / "pki")
    assert made.ensure(["gate.example"], OPERATOR)
    return made


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def verify(pki: Pki, path: Path, purpose: str) -> bool:
    """Ask OpenSSL, which has read no line of ours."""
    words = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-crl_check"]
    words += ["-CAfile", str(pki.authority_path), "-CRLfile", str(pki.crl_path), str(path)]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


def judge_file(path: Path, at: datetime | None = None) -> str:
    now_ns = int((at or datetime.now(UTC)).timestamp() * 1e9)
    from cryptography.hazmat.primitives.serialization import Encoding

    return judge(read(path).public_bytes(Encoding.DER), now_ns).uri


def test_the_operator_is_an_admin_of_the_domain(pki: Pki) -> None:
    assert judge_file(pki.folder / "operator.crt") == OPERATOR
    assert parse_identity(OPERATOR, "riskgate").name == "operator"


def test_each_certificate_is_good_for_its_own_purpose_only(pki: Pki) -> None:
    client, server = pki.folder / "operator.crt", pki.folder / "server.crt"
    assert verify(pki, client, "sslclient")
    assert not verify(pki, client, "sslserver")
    assert verify(pki, server, "sslserver")
    assert not verify(pki, server, "sslclient")
    with pytest.raises(PeerRefusedError) as caught:
        judge_file(server)
    assert caught.value.finding == Finding.NO_IDENTITY


def test_a_client_certificate_cannot_sign_another(pki: Pki) -> None:
    issued, _ = pki.issue(DESK)
    constraints = read(issued).extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca


def test_the_server_is_known_by_every_name_that_callers_dial(pki: Pki) -> None:
    hosts = certificate_building.read_hosts(read(pki.folder / "server.crt"))
    assert set(hosts) == {"localhost", "127.0.0.1", "::1", "gate.example"}


def test_nothing_is_done_a_second_time(pki: Pki) -> None:
    before = {path: path.read_bytes() for path in pki.folder.rglob("*") if path.is_file()}
    assert not pki.ensure(["GATE.example"], OPERATOR)
    assert {path: path.read_bytes() for path in before} == before


def test_names_that_the_server_once_had_stay(pki: Pki) -> None:
    assert pki.ensure(["other.example", "0:0::1"], OPERATOR)
    hosts = certificate_building.read_hosts(read(pki.folder / "server.crt"))
    assert {"gate.example", "other.example"} <= set(hosts)
    assert not pki.ensure([], OPERATOR)


def test_a_client_certificate_lives_a_day_and_not_longer(pki: Pki) -> None:
    issued, key = pki.issue(DESK)
    assert (issued.name, key.name) == ("trader-desk-7.crt", "trader-desk-7.key")
    assert judge_file(issued) == DESK
    with pytest.raises(PeerRefusedError) as caught:
        judge_file(issued, datetime.now(UTC) + timedelta(hours=24, seconds=2))
    assert caught.value.finding == Finding.EXPIRED


@pytest.mark.parametrize("lifetime", [timedelta(), timedelta(days=31), timedelta(seconds=-1)])
def test_a_lifetime_out_of_range_is_refused(pki: Pki, lifetime: timedelta) -> None:
    with pytest.raises(InvalidFieldError, match="lifetime"):
        pki.issue(DESK, lifetime=lifetime)


def test_keys_can_be_read_by_their_owner_only(pki: Pki, tmp_path: Path) -> None:
    pki.issue(DESK)
    pki.issue(DESK, out=tmp_path / "given")
    keys = [*tmp_path.rglob("*.key")]
    assert len(keys) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}
    assert stat.S_IMODE(pki.folder.stat().st_mode) == 0o700


def test_a_certificate_that_ends_soon_is_renewed_with_its_key(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [(pki.folder / f"{name}.key").read_bytes() for name in ("server", "operator")]
    ends = [read(pki.folder / f"{name}.crt").not_valid_after_utc for name in ("server", "operator")]
    travel(monkeypatch, timedelta(days=19))
    assert not pki.ensure([], OPERATOR)
    travel(monkeypatch, timedelta(days=21))
    assert pki.ensure([], OPERATOR)
    assert [(pki.folder / f"{name}.key").read_bytes() for name in ("server", "operator")] == keys
    for name, end in zip(("server", "operator"), ends, strict=True):
        assert read(pki.folder / f"{name}.crt").not_valid_after_utc > end


def travel(monkeypatch: pytest.MonkeyPatch, ahead: timedelta) -> None:
    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Later":
            return cls.fromtimestamp((datetime.now(UTC) + ahead).timestamp(), tz)

    monkeypatch.setattr(pki_module, "datetime", Later)
    monkeypatch.setattr(certificate_building, "datetime", Later)


def test_an_authority_that_ends_soon_is_said_and_not_replaced(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = pki.authority_path.read_bytes()
    travel(monkeypatch, certificate_building.AUTHORITY_LIFETIME - timedelta(days=10))
    with pytest.raises(ConfigurationError, match="ends in"):
        pki.ensure([], OPERATOR)
    assert pki.authority_path.read_bytes() == authority


def test_a_revoked_name_has_no_good_certificate_left(pki: Pki) -> None:
    first, _ = pki.issue(DESK)
    kept = first.with_name("first.crt")
    kept.write_bytes(first.read_bytes())
    second, _ = pki.issue(DESK)
    other, _ = pki.issue("spiffe://riskgate/trader/desk-8")
    assert len(pki.revoke(DESK)) == 2
    assert not verify(pki, kept, "sslclient")
    assert not verify(pki, second, "sslclient")
    assert verify(pki, other, "sslclient")
    with pytest.raises(NotFoundError):
        pki.revoke(DESK)


def test_one_certificate_can_be_revoked_by_its_number(pki: Pki) -> None:
    first, _ = pki.issue(DESK)
    number = read(first).serial_number
    text = ":".join(f"{byte:02X}" for byte in number.to_bytes(20))
    second, _ = pki.issue(DESK, out=pki.folder / "again")
    assert [each.serial for each in pki.revoke(text)] == [f"{number:x}"]
    assert verify(pki, second, "sslclient")


def test_what_was_revoked_stays_so_when_more_is(pki: Pki) -> None:
    for name in ("a", "b", "c"):
        pki.issue(f"spiffe://riskgate/trader/{name}")
        pki.revoke(f"spiffe://riskgate/trader/{name}")
    states = {each.name: each.revoked_at for each in pki.list_issued()}
    assert all(states[f"spiffe://riskgate/trader/{name}"] for name in ("a", "b", "c"))
    assert states[OPERATOR] is None
    numbers = x509.load_pem_x509_crl(pki.crl_path.read_bytes())
    assert len(numbers) == 3


def test_a_revoked_operator_gets_another_key(pki: Pki) -> None:
    key = (pki.folder / "operator.key").read_bytes()
    stolen = pki.folder / "stolen.crt"
    stolen.write_bytes((pki.folder / "operator.crt").read_bytes())
    pki.revoke(OPERATOR)
    assert pki.ensure([], OPERATOR)
    assert (pki.folder / "operator.key").read_bytes() != key
    assert verify(pki, pki.folder / "operator.crt", "sslclient")
    assert not verify(pki, stolen, "sslclient")


def test_a_lost_list_of_revoked_certificates_is_not_made_up(pki: Pki) -> None:
    pki.crl_path.unlink()
    with pytest.raises(ConfigurationError, match=r"ca\.crl: is missing"):
        pki.ensure([], OPERATOR)


def test_revoking_without_the_list_does_not_let_the_others_back_in(pki: Pki) -> None:
    for name in ("ann", "ben"):
        pki.issue(f"spiffe://riskgate/trader/{name}")
    pki.revoke("spiffe://riskgate/trader/ann")
    pki.crl_path.unlink()
    with pytest.raises(ConfigurationError, match=r"ca\.crl: is missing"):
        pki.revoke("spiffe://riskgate/trader/ben")
    assert not pki.crl_path.exists()


@pytest.mark.parametrize("name", ["ca.crt", "ca.key", "server.crt", "operator.key", "ca.crl"])
def test_a_damaged_file_is_named(pki: Pki, name: str) -> None:
    (pki.folder / name).write_text("nothing")
    with pytest.raises(ConfigurationError, match=name):
        pki.ensure([], OPERATOR)


def test_several_processes_at_once_make_one_authority(tmp_path: Path) -> None:
    # A lock on a file is between open files, so threads are as good as processes here.
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: Pki(tmp_path / "pki").ensure([], OPERATOR), range(8)))
    assert made.count(True) == 1
    pki = Pki(tmp_path / "pki")
    assert len(pki.list_issued()) == 2
    assert verify(pki, pki.folder / "server.crt", "sslserver")


def test_a_stack_names_the_addresses_that_it_listens_on(tmp_path: Path) -> None:
    settings = load_settings(
        data_dir=tmp_path / "data",
        insecure_loopback=False,
        decision_listen="10.1.2.3:50051",
        control_listen="0.0.0.0:50052",
    )
    hosts = certificate_building.read_hosts(
        read(ensure_pki(settings, ["gate.example"]).folder / "server.crt")
    )
    assert {"10.1.2.3", "gate.example", "localhost"} <= set(hosts)
    assert "0.0.0.0" not in hosts  # noqa: S104 - looked for, not bound


def test_a_running_stack_renews_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(data_dir=tmp_path / "data", insecure_loopback=False)
    server = ensure_pki(settings).folder / "server.crt"
    before = server.read_bytes()
    travel(monkeypatch, timedelta(days=25))
    monkeypatch.setattr(pki_renewal, "_INTERVAL_S", 0.01)
    renewal = pki_renewal.PkiRenewal(settings)
    renewal.start()
    try:
        assert wait_until(lambda: server.read_bytes() != before, timeout_s=20)
    finally:
        renewal.stop()


def test_a_renewal_that_fails_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(data_dir=tmp_path / "data", insecure_loopback=False)
    pki = ensure_pki(settings)
    crl = pki.crl_path.read_bytes()
    pki.crl_path.write_bytes(b"damaged")
    before = (pki.folder / "server.crt").read_bytes()
    travel(monkeypatch, timedelta(days=25))
    monkeypatch.setattr(pki_renewal, "_INTERVAL_S", 0.01)
    renewal = pki_renewal.PkiRenewal(settings)
    failed = threading.Event()
    monkeypatch.setattr(pki_renewal.log, "error", lambda *_: failed.set())
    renewal.start()
    try:
        assert failed.wait(20)
        pki.crl_path.write_bytes(crl)
        assert wait_until(lambda: (pki.folder / "server.crt").read_bytes() != before, timeout_s=20)
    finally:
        renewal.stop()
