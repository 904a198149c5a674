"""X.509 as the development authority writes it: certificates of three kinds, and the list.

Keys are on P-256, signatures ECDSA with SHA-256: what every TLS library takes. A caller is named by
its one SAN URI, a server by DNS names and addresses, and each may only be what it was issued for.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFETIME: Final = timedelta(days=1_826)
SERVER_LIFETIME: Final = timedelta(days=30)
# Clocks of callers may be behind ours.
_CLOCK_SKEW: Final = timedelta(minutes=5)
_NAME_LENGTH_MAX: Final = 64  # of a common name


class Signer(NamedTuple):
    """An authority with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def build_authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Return a self-signed authority that may sign certificates and lists, but no authorities."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    # Told apart by name: after a new start, clients that hold an old one are refused clearly.
    name = _name(f"riskgate development authority {identifier.digest.hex()[:8]}")
    return (
        _begin(name, key.public_key(), AUTHORITY_LIFETIME)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, SHA256())
    )


def build_server(
    hosts: Sequence[str], public_key: ec.EllipticCurvePublicKey, signer: Signer
) -> x509.Certificate:
    """Return a certificate for a server that is dialled by these names and addresses."""
    names = [_to_general_name(host) for host in hosts]
    usage = ExtendedKeyUsageOID.SERVER_AUTH
    return _issue("riskgate", names, usage, public_key, signer, SERVER_LIFETIME)


def build_client(
    uri: str,
    public_key: ec.EllipticCurvePublicKey,
    signer: Signer,
    lifetime: timedelta,
) -> x509.Certificate:
    """Return a certificate for the caller of a URI."""
    names = [x509.UniformResourceIdentifier(uri)]
    usage = ExtendedKeyUsageOID.CLIENT_AUTH
    name = uri.rpartition("/")[2][:_NAME_LENGTH_MAX]
    return _issue(name, names, usage, public_key, signer, lifetime)


def build_crl(
    signer: Signer,
    revoked: Mapping[int, datetime],
    now: datetime,
) -> x509.CertificateRevocationList:
    """Return the list of revoked serial numbers and when each was revoked."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(signer.certificate.subject)
        .last_update(now)
        # It does not age: the ports read the file itself whenever it changes.
        .next_update(signer.certificate.not_valid_after_utc)
        .add_extension(x509.CRLNumber(int(now.timestamp() * 1_000_000)), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()),
            critical=False,
        )
    )
    for serial, moment in sorted(revoked.items()):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(moment)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(signer.key, SHA256())


def read_uri(certificate: x509.Certificate) -> str:
    """Return the first SAN URI; empty: there is none."""
    uris = _read_names(certificate).get_values_for_type(x509.UniformResourceIdentifier)
    return uris[0] if uris else ""


def read_hosts(certificate: x509.Certificate) -> list[str]:
    """Return DNS names and addresses of a server."""
    names = _read_names(certificate)
    addresses = names.get_values_for_type(x509.IPAddress)
    return [*names.get_values_for_type(x509.DNSName), *map(str, addresses)]


def normalise_host(host: str) -> str:
    """Return a name or address as `read_hosts` gives it back."""
    try:
        return str(ip_address(host))
    except ValueError:
        return host.lower()


def _issue(
    name: str,
    names: Sequence[x509.GeneralName],
    usage: x509.ObjectIdentifier,
    public_key: ec.EllipticCurvePublicKey,
    signer: Signer,
    lifetime: timedelta,
) -> x509.Certificate:
    key_of_signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
    return (
        _begin(_name(name), public_key, lifetime)
        .issuer_name(signer.certificate.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(key_of_signer, critical=False)
        .sign(signer.key, SHA256())
    )


def _begin(
    subject: x509.Name, public_key: ec.EllipticCurvePublicKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _to_general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _read_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])
