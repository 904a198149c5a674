"""A certificate authority for tests: server and client certificates, good and bad ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY: Final = timedelta(days=1)
CLIENT_AUTH: Final = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER_AUTH: Final = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT_URI: Final = "spiffe://riskgate/trader/router"


class Issued(NamedTuple):
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def write(
        self, folder: Path, name: str, *, passphrase: bytes = b"", chain: Sequence[Issued] = ()
    ) -> tuple[Path, Path]:
        """Write NAME.pem (with its chain) and NAME.key; return both paths."""
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        parts = [entry.certificate.public_bytes(Encoding.PEM) for entry in (self, *chain)]
        certificate.write_bytes(b"".join(parts))
        protection: KeySerializationEncryption = NoEncryption()
        if passphrase:
            protection = BestAvailableEncryption(passphrase)
        key.touch(mode=0o600)
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))
        return certificate, key


class Authority:
    """Signs certificates.

    Args:
        name: Its common name.
        parent: Who signs its own certificate; None: itself.
    """

    def __init__(self, name: str = "test authority", parent: Authority | None = None) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _begin(name, key, -DAY, 30 * DAY).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        signer = parent.issued if parent else None
        self.issued: Issued = _sign(builder, name, key, signer)

    def revoke(self, *issued: Issued) -> bytes:
        """Return the list of revoked certificates, PEM, signed now."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.issued.certificate.subject)
            .last_update(now - DAY)
            .next_update(now + DAY)
        )
        for each in issued:
            entry = x509.RevokedCertificateBuilder(each.certificate.serial_number, now)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.issued.key, SHA256()).public_bytes(Encoding.PEM)

    def issue_server(self, name: str = "server", *, hosts: Sequence[str] = ()) -> Issued:
        """Issue a server certificate, for this machine's loopback names when no hosts are named."""
        names: list[x509.GeneralName] = [x509.DNSName(host) for host in hosts]
        if not hosts:
            names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        return self.issue(name, names=names, usages=[SERVER_AUTH])

    def issue_client(self, *uris: str) -> Issued:
        """Issue a client certificate with these URIs; none: CLIENT_URI."""
        return self.issue(
            names=[x509.UniformResourceIdentifier(uri) for uri in uris or [CLIENT_URI]]
        )

    def issue(
        self,
        name: str = "client",
        *,
        names: Sequence[x509.GeneralName] = (x509.UniformResourceIdentifier(CLIENT_URI),),
        usages: Sequence[x509.ObjectIdentifier] | None = (CLIENT_AUTH,),
        begins: timedelta = -DAY,
        ends: timedelta = DAY,
        now: datetime | None = None,
    ) -> Issued:
        """Issue any certificate.

        Args:
            name: Common name.
            names: Subject alternative names; empty: no such extension.
            usages: Extended key usages; None: no such extension.
            begins: Start of validity, from now.
            ends: End of validity, from now.
            now: Replaces the present moment.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _begin(name, key, begins, ends, now).add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if usages is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return _sign(builder, name, key, self.issued)


def _begin(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    begins: timedelta,
    ends: timedelta,
    now: datetime | None = None,
) -> x509.CertificateBuilder:
    moment = (now or datetime.now(UTC)).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment + begins)
        .not_valid_after(moment + ends)
    )


def _sign(
    builder: x509.CertificateBuilder,
    name: str,
    key: ec.EllipticCurvePrivateKey,
    signer: Issued | None,
) -> Issued:
    issuer = signer.certificate.subject if signer else _name(name)
    certificate = builder.issuer_name(issuer).sign(signer.key if signer else key, SHA256())
    return Issued(certificate, key)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
