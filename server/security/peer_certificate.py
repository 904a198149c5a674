"""Who a client's certificate says it is.

libssl has verified the chain, its dates and its purpose by then; this looks at the certificate
itself. It knows no rights: those belong to the identity that it names.
"""

from datetime import UTC, datetime
from enum import IntEnum
from typing import Final, NamedTuple, NoReturn

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

IDENTITY_BYTES_MAX: Final = 64
_TIME_NS_MAX: Final = (1 << 63) - 1
# What the library raises for bytes that are no certificate that it understands.
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Finding(IntEnum):
    """What was found; everything but ACCEPTED refuses. The numbers are those on the board."""

    ACCEPTED = 1
    MALFORMED = 2
    """Not one well-formed certificate, or an extension of it is not."""
    NO_IDENTITY = 3
    """No URI among its subject alternative names."""
    SEVERAL_IDENTITIES = 4
    UNUSABLE_IDENTITY = 5
    """The URI is none of ours, longer than 64 bytes, or has other than visible ASCII characters."""
    WRONG_USAGE = 6
    """It names extended key usages, and client authentication is not one of them."""
    NOT_YET_VALID = 7
    EXPIRED = 8
    FAULT = 9
    """The judge itself failed."""
    REVOKED = 10
    """The authority's list names it, or there is a list that cannot be used."""


class PeerIdentity(NamedTuple):
    """What a good certificate says.

    Attributes:
        uri: Its one SAN URI: 1 to 64 visible ASCII characters.
        not_after_ns: Last moment at which it is valid, Unix nanoseconds; at most 2^63 − 1.
        serial: Its number, which its authority gives only once.
    """

    uri: str
    not_after_ns: int
    serial: int


class PeerRefusedError(Exception):
    """The certificate does not let its holder in.

    Args:
        finding: Why.
    """

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.name.lower().replace("_", " "))
        self.finding = finding


def judge(der: bytes, now_ns: int) -> PeerIdentity:
    """Return who a certificate identifies.

    Args:
        der: The certificate; nothing may follow it.
        now_ns: Present moment, Unix nanoseconds.

    Raises:
        PeerRefusedError: It is not acceptable; its finding says why.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        uris = _read_uris(certificate)
        is_for_clients = _is_for_clients(certificate)
        begins_ns = _to_ns(certificate.not_valid_before_utc)
        ends_ns = _to_ns(certificate.not_valid_after_utc)
    except _UNREADABLE as error:
        raise PeerRefusedError(Finding.MALFORMED) from error
    if not uris:
        _refuse(Finding.NO_IDENTITY)
    if len(uris) > 1:
        _refuse(Finding.SEVERAL_IDENTITIES)
    if not _is_usable(uris[0]):
        _refuse(Finding.UNUSABLE_IDENTITY)
    if not is_for_clients:
        _refuse(Finding.WRONG_USAGE)
    if now_ns < begins_ns:
        _refuse(Finding.NOT_YET_VALID)
    if now_ns > ends_ns:
        _refuse(Finding.EXPIRED)
    return PeerIdentity(uris[0], ends_ns, certificate.serial_number)


def _refuse(finding: Finding) -> NoReturn:
    raise PeerRefusedError(finding)


def _read_uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def _is_for_clients(certificate: x509.Certificate) -> bool:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in usages


def _is_usable(uri: str) -> bool:
    # Visible characters only: what looks the same in a log is the same.
    return 0 < len(uri) <= IDENTITY_BYTES_MAX and all("!" <= letter <= "~" for letter in uri)


def _to_ns(moment: datetime) -> int:
    # Exact, and cut where int64 ends in the year 2262; certificates may last until 9999.
    since = moment - _EPOCH
    return min((since.days * 86_400 + since.seconds) * 1_000_000_000, _TIME_NS_MAX)
