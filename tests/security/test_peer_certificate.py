from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Final

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from server.hotpath.lane import judging
from server.hotpath.layout import ID_WORDS
from server.security.peer_certificate import (
    IDENTITY_BYTES_MAX,
    Finding,
    PeerIdentity,
    PeerRefusedError,
    judge,
)
from tests.certificates import CLIENT_AUTH, CLIENT_URI, DAY, SERVER_AUTH, Authority

NOW: Final = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
NOW_NS: Final = 1_772_600_767_000_000_000
SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * SECOND_NS
NAMES: Final = [x509.UniformResourceIdentifier(CLIENT_URI)]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def finding_of(der: bytes, now_ns: int = NOW_NS) -> Finding:
    with pytest.raises(PeerRefusedError) as caught:
        judge(der, now_ns)
    return caught.value.finding


def test_judge_when_the_certificate_is_good_then_returns_identity_and_end(
    authority: Authority,
) -> None:
    issued = authority.issue(now=NOW, ends=3 * DAY)
    serial = issued.certificate.serial_number
    assert judge(issued.der, NOW_NS) == PeerIdentity(CLIENT_URI, NOW_NS + 3 * DAY_NS, serial)


def test_judge_when_no_usage_is_named_then_any_is_meant(authority: Authority) -> None:
    assert judge(authority.issue(now=NOW, usages=None).der, NOW_NS).uri == CLIENT_URI


def test_judge_when_other_names_stand_beside_the_uri_then_the_uri_counts(
    authority: Authority,
) -> None:
    names = [x509.DNSName("router.example"), *NAMES, x509.RFC822Name("desk@example.org")]
    assert judge(authority.issue(now=NOW, names=names).der, NOW_NS).uri == CLIENT_URI


def test_judge_when_the_uri_has_exactly_the_greatest_length_then_it_passes(
    authority: Authority,
) -> None:
    uri = "spiffe://".ljust(IDENTITY_BYTES_MAX, "x")
    names = [x509.UniformResourceIdentifier(uri)]
    assert judge(authority.issue(now=NOW, names=names).der, NOW_NS).uri == uri


@pytest.mark.parametrize("names", [[], [x509.DNSName("router.example")]], ids=["none", "dns"])
def test_judge_when_there_is_no_uri_then_refuses(
    authority: Authority, names: list[x509.GeneralName]
) -> None:
    assert finding_of(authority.issue(now=NOW, names=names).der) is Finding.NO_IDENTITY


def test_judge_when_there_are_two_uris_then_refuses_even_if_they_are_equal(
    authority: Authority,
) -> None:
    der = authority.issue(now=NOW, names=NAMES * 2).der
    assert finding_of(der) is Finding.SEVERAL_IDENTITIES


@pytest.mark.parametrize(
    "uri", ["", "x" * (IDENTITY_BYTES_MAX + 1), "spiffe://a b", "spiffe://a\x00b", "a\nb", "a\x7f"]
)
def test_judge_when_the_uri_is_not_plain_text_then_refuses(authority: Authority, uri: str) -> None:
    names = [x509.UniformResourceIdentifier(uri)]
    assert finding_of(authority.issue(now=NOW, names=names).der) is Finding.UNUSABLE_IDENTITY


@pytest.mark.parametrize(
    "usages", [[SERVER_AUTH], [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]], ids=["server", "any"]
)
def test_judge_when_clients_are_not_among_the_usages_then_refuses(
    authority: Authority, usages: list[x509.ObjectIdentifier]
) -> None:
    assert finding_of(authority.issue(now=NOW, usages=usages).der) is Finding.WRONG_USAGE
    both = authority.issue(now=NOW, usages=[*usages, CLIENT_AUTH])
    assert judge(both.der, NOW_NS).uri == CLIENT_URI


def test_judge_when_asked_outside_its_validity_then_refuses(authority: Authority) -> None:
    der = authority.issue(now=NOW, begins=-DAY, ends=DAY).der
    assert judge(der, NOW_NS - DAY_NS).uri == CLIENT_URI
    assert finding_of(der, NOW_NS - DAY_NS - 1) is Finding.NOT_YET_VALID
    assert judge(der, NOW_NS + DAY_NS).uri == CLIENT_URI
    assert finding_of(der, NOW_NS + DAY_NS + 1) is Finding.EXPIRED


def test_judge_when_it_lasts_beyond_int64_then_the_end_is_cut(authority: Authority) -> None:
    ends = datetime(9999, 12, 31, tzinfo=UTC) - NOW - timedelta(seconds=1)
    identity = judge(authority.issue(now=NOW, ends=ends).der, NOW_NS)
    assert identity.not_after_ns == (1 << 63) - 1


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_judge_when_the_bytes_are_damaged_then_refuses_and_never_fails(
    authority: Authority,
) -> None:
    der = authority.issue(now=NOW).der
    assert finding_of(b"") is Finding.MALFORMED
    assert finding_of(der + b"\0") is Finding.MALFORMED
    assert {finding_of(der[:length]) for length in range(0, len(der), 7)} == {Finding.MALFORMED}
    found = set()
    for position, bit in product(range(len(der)), (0, 3, 7)):
        damaged = bytearray(der)
        damaged[position] ^= 1 << bit
        try:
            found.add(judge(bytes(damaged), NOW_NS).uri)
        except PeerRefusedError as error:
            found.add(error.finding.name)
    # The signature is not looked at here, so damage there goes unnoticed.
    assert {CLIENT_URI, "MALFORMED", "NO_IDENTITY", "WRONG_USAGE", "EXPIRED"} <= found


def test_findings_when_they_go_to_the_lane_then_only_one_number_accepts() -> None:
    assert int(Finding.ACCEPTED) == judging.ACCEPTED
    assert IDENTITY_BYTES_MAX == 8 * ID_WORDS
    assert 0 not in set(Finding), "a cell that nobody has answered must refuse"
