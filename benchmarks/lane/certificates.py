"""Certificates for the measurements over TLS: one authority, the server 127.0.0.1, one client.

They live for a day in the folder that they are written to, and are nobody's secret.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

AUTHORITY: Final = "authority.pem"
SERVER: Final = "server.pem"
SERVER_KEY: Final = "server-key.pem"
CLIENT: Final = "client.pem"
CLIENT_KEY: Final = "client-key.pem"
_LIFETIME: Final = timedelta(days=1)
_CLOCK_SKEW: Final = timedelta(minutes=5)


def write_certificates(folder: Path) -> None:
    """Write authority, server and client certificates, and the keys of the latter two."""
    folder.mkdir(parents=True, exist_ok=True)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    name = _name("benchmark authority")
    authority = (
        _builder(name, name, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    _write_certificate(folder / AUTHORITY, authority)
    for file, key_file, alternative in (
        (SERVER, SERVER_KEY, x509.IPAddress(ipaddress.ip_address("127.0.0.1"))),
        (CLIENT, CLIENT_KEY, x509.UniformResourceIdentifier("spiffe://benchmark/router")),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(_name(Path(file).stem), name, key)
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(authority_key, hashes.SHA256())
        )
        _write_certificate(folder / file, certificate)
        _write_key(folder / key_file, key)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFETIME)
    )


def _write_certificate(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
