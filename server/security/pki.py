"""The development certificate authority of a data directory: who gets in, and who no longer does.

    pki/ca.crt, ca.key          the authority
    pki/ca.crl                  serial numbers that are no longer accepted
    pki/server.crt, server.key  of both ports
    pki/operator.crt, .key      what commands on this machine show
    pki/clients/NAME.crt, .key  what `issue` wrote, unless it was told another folder
    pki/issued/SERIAL.crt       every certificate ever issued, without keys

A certificate that is renewed keeps its key, so that a reader who looks between two writes never
finds a pair that does not fit. Files are written aside and renamed; keys have mode 0600.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from server.embedded.locks import FileLock
from server.embedded.process import wait_until
from server.errors import ConfigurationError, InvalidFieldError, NotFoundError
from server.security.certificate_building import (
    Signer,
    build_authority,
    build_client,
    build_crl,
    build_server,
    normalise_host,
    read_hosts,
    read_uri,
)

LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
OPERATOR_LIFETIME: Final = timedelta(days=30)
CLIENT_LIFETIME: Final = timedelta(hours=24)
CLIENT_LIFETIME_MAX: Final = timedelta(days=30)
_LOCK_WAIT_S: Final = 10.0
# What is renewed when this much of its life is left.
_RENEWAL_SHARE: Final = 1 / 3


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate on the list.

    Attributes:
        serial: Serial number, lower-case hexadecimal.
        name: URI of a caller, or the names of the server.
        not_after: End of its validity, UTC.
        revoked_at: When it was revoked; None: it was not.
    """

    serial: str
    name: str
    not_after: datetime
    revoked_at: datetime | None


class Pki:
    """The authority in one folder; several processes may use it at the same time.

    Args:
        folder: Where it is, or will be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority_path = folder / "ca.crt"
        self.crl_path = folder / "ca.crl"
        self._issued = folder / "issued"

    @property
    def exists(self) -> bool:
        """Whether there is an authority."""
        return self.authority_path.exists()

    def ensure(self, hosts: Sequence[str], operator: str) -> bool:
        """Make what is missing, renew what ends soon or is revoked; return whether anything was.

        Args:
            hosts: Names and addresses by which callers dial the server, besides loopback's; those
                that its certificate already has stay.
            operator: URI of the operator.

        Raises:
            ConfigurationError: A file cannot be read, or the authority itself ends soon.
        """
        with self._locked():
            changed = self._ensure_authority()
            changed |= self._ensure_server([*LOOPBACK_HOSTS, *hosts])
            return self._ensure_operator(operator) or changed

    def issue(
        self, uri: str, *, lifetime: timedelta = CLIENT_LIFETIME, out: Path | None = None
    ) -> tuple[Path, Path]:
        """Issue a client certificate with a new key; return the paths of both.

        Args:
            uri: A valid identity URI.
            lifetime: More than nothing, at most 30 days.
            out: Folder for both files; None: `clients` beside the authority.

        Raises:
            ConfigurationError: There is no usable authority.
            InvalidFieldError: The lifetime is out of range.
        """
        if not timedelta() < lifetime <= CLIENT_LIFETIME_MAX:
            raise InvalidFieldError("lifetime", "must be more than nothing and at most 30 days")
        folder = out or self.folder / "clients"
        with self._locked():
            signer = self._read_signer()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = build_client(uri, key.public_key(), signer, lifetime)
            stem = "-".join(uri.split("/")[3:])
            paths = folder / f"{stem}.crt", folder / f"{stem}.key"
            _write_key(paths[1], key)
            self._write_issued(paths[0], certificate)
        return paths

    def revoke(self, name: str) -> list[Issued]:
        """Revoke every valid certificate of a URI, or one by its serial number.

        Raises:
            NotFoundError: No certificate that is still valid has that name.
            ConfigurationError: There is no usable authority, or its list is missing.
        """
        number = name.replace(":", "").lower().lstrip("0")
        with self._locked():
            signer = self._read_signer()
            self._require_list()
            now = datetime.now(UTC)
            found = [
                each
                for each in self.list_issued()
                if (name == each.name or number == each.serial)
                and each.revoked_at is None
                and each.not_after > now
            ]
            if not found:
                raise NotFoundError("certificate", name)
            revoked = {int(each.serial, 16): now for each in found} | self._read_revoked()
            self._write_crl(signer, revoked)
        return found

    def list_issued(self) -> list[Issued]:
        """Return every certificate that was ever issued, the one that ends first in front.

        Raises:
            ConfigurationError: A file cannot be read.
        """
        revoked = self._read_revoked()
        found = []
        for path in self._issued.glob("*.crt"):
            certificate = _read_certificate(path)
            number = certificate.serial_number
            name = read_uri(certificate) or ", ".join(read_hosts(certificate))
            end = certificate.not_valid_after_utc
            found.append(Issued(f"{number:x}", name, end, revoked.get(number)))
        return sorted(found, key=lambda each: (each.not_after, each.serial))

    def _ensure_authority(self) -> bool:
        if not self.exists:
            key = ec.generate_private_key(ec.SECP256R1())
            authority = build_authority(key)
            # The certificate last: without it there is no authority, and this is tried again.
            _write_key(self.folder / "ca.key", key)
            self._write_crl(Signer(authority, key), {})
            _write(self.authority_path, authority.public_bytes(Encoding.PEM), 0o644)
            return True
        left = self._read_signer().certificate.not_valid_after_utc - datetime.now(UTC)
        if left < OPERATOR_LIFETIME:
            mend = f"move {self.folder} away, start again, issue the client certificates anew"
            raise ConfigurationError([f"{self.authority_path}: ends in {left.days} days; {mend}"])
        self._require_list()
        return False

    def _require_list(self) -> None:
        if not self.crl_path.exists():
            # Without the list nobody could tell what was revoked: that is not made up here.
            raise ConfigurationError([f"{self.crl_path}: is missing; restore it from a backup"])

    def _ensure_server(self, hosts: Sequence[str]) -> bool:
        path = self.folder / "server.crt"
        had = read_hosts(_read_certificate(path)) if path.exists() else []
        wanted = list(dict.fromkeys([*map(normalise_host, hosts), *had]))
        if self._is_good("server") and set(wanted) == set(had):
            return False
        self._renew("server", lambda key, signer: build_server(wanted, key, signer))
        return True

    def _ensure_operator(self, uri: str) -> bool:
        path = self.folder / "operator.crt"
        if self._is_good("operator") and read_uri(_read_certificate(path)) == uri:
            return False
        self._renew(
            "operator", lambda key, signer: build_client(uri, key, signer, OPERATOR_LIFETIME)
        )
        return True

    def _renew(
        self, name: str, build: Callable[[ec.EllipticCurvePublicKey, Signer], x509.Certificate]
    ) -> None:
        path, key_path = self._paths(name)
        key = self._find_key(path, key_path)
        certificate = build(key.public_key(), self._read_signer())
        _write_key(key_path, key)
        self._write_issued(path, certificate)

    def _paths(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    def _is_good(self, name: str) -> bool:
        """Tell whether a certificate is there with its key, ours, not revoked, not near its end."""
        path, key_path = self._paths(name)
        if not path.exists() or not key_path.exists():
            return False
        certificate = _read_certificate(path)
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        return (
            certificate.issuer == _read_certificate(self.authority_path).subject
            and certificate.serial_number not in self._read_revoked()
            and certificate.public_key() == _read_key(key_path).public_key()
            and end - datetime.now(UTC) > (end - begin) * _RENEWAL_SHARE
        )

    def _find_key(self, path: Path, key_path: Path) -> ec.EllipticCurvePrivateKey:
        """Return the key to go on with; a new one after a revocation, which may mean a theft."""
        if not key_path.exists() or not path.exists():
            return ec.generate_private_key(ec.SECP256R1())
        if _read_certificate(path).serial_number in self._read_revoked():
            return ec.generate_private_key(ec.SECP256R1())
        return _read_key(key_path)

    def _read_signer(self) -> Signer:
        if not self.exists:
            raise ConfigurationError(
                [f"{self.folder}: there is no authority; `riskgate pki init` makes one"]
            )
        certificate = _read_certificate(self.authority_path)
        return Signer(certificate, _read_key(self.folder / "ca.key"))

    def _read_revoked(self) -> dict[int, datetime]:
        if not self.crl_path.exists():
            return {}
        try:
            crl = x509.load_pem_x509_crl(self.crl_path.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigurationError([f"{self.crl_path}: {error}"]) from error
        return {entry.serial_number: entry.revocation_date_utc for entry in crl}

    def _write_crl(self, signer: Signer, revoked: dict[int, datetime]) -> None:
        crl = build_crl(signer, revoked, datetime.now(UTC))
        _write(self.crl_path, crl.public_bytes(Encoding.PEM), 0o644)

    def _write_issued(self, path: Path, certificate: x509.Certificate) -> None:
        # On the list first: what is in use can be revoked by name.
        self._issued.mkdir(mode=0o700, exist_ok=True)
        content = certificate.public_bytes(Encoding.PEM)
        _write(self._issued / f"{certificate.serial_number:x}.crt", content, 0o644)
        _write(path, content, 0o644)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock(self.folder / "lock")
            if not wait_until(lock.acquire, timeout_s=_LOCK_WAIT_S):
                raise ConfigurationError([f"{self.folder}: another process holds its lock"])
        except OSError as error:
            raise ConfigurationError([f"{self.folder}: {error.strerror}"]) from error
        try:
            yield
        except OSError as error:
            raise ConfigurationError([f"{self.folder}: {error}"]) from error
        finally:
            lock.release()


def time_left(path: Path) -> timedelta:
    """Return how long the first certificate of a PEM file is still valid; less than 0: it ended.

    Raises:
        ConfigurationError: It cannot be read.
    """
    left = _read_certificate(path).not_valid_after_utc - datetime.now(UTC)
    return timedelta(seconds=int(left.total_seconds()))


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError([f"{path}: no certificate: {error}"]) from error


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError([f"{path}: no private key: {error}"]) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigurationError([f"{path}: must be a key on an elliptic curve"])
    return key


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(path, pem, 0o600)


def _write(path: Path, content: bytes, mode: int) -> None:
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
