"""What an identity may do, as the records say that a lane reads."""

import ctypes
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riskgate.v1 import identity_pb2
from riskgate.v1.identity_pb2 import Identity
from server.hotpath.lane.headers import PATHS
from server.hotpath.lane.structs import METHOD_DECIDE, METHODS
from server.hotpath.layout import words
from server.hotpath.wire.grant_record import (
    D_ACCOUNT,
    D_CERTIFICATE_EXPIRED,
    D_CERTIFICATE_REVOKED,
    D_IDENTITY_REVOKED,
    D_METHOD,
    D_NO_CERTIFICATE,
    D_NONE,
    D_PROVIDER,
    METHODS_MAX,
    SCOPE,
)
from server.hotpath.wire.grants import (
    begin_grant_nb,
    count_call_denial_nb,
    find_denial_nb,
    may_use_nb,
    take_call_nb,
)
from server.hotpath.wire.memory import new_wire
from server.security.grants import METHOD_PATHS, DenialCount, Grants
from server.security.identity_name import ROLES
from server.security.revoked_certificates import RevokedCertificates
from tests.certificates import Authority
from tests.grant_records import grant_of, holder_of

TRADER = "spiffe://riskgate/trader/desk"
NOW_NS = 1_800_000_000_000_000_000
SECOND_NS = 1_000_000_000


class Caller:
    """One certificate of one identity, asked as a lane asks."""

    def __init__(self, grants: Grants, uri: str = TRADER, *, ends_ns: int = 0) -> None:
        self.grant = grants.row_for(uri, ends_ns, 7)
        self._wire = new_wire(np.zeros(64, np.uint8), request_bytes_max=1)

    def denial(self, method: int = METHOD_DECIDE, now_ns: int = NOW_NS) -> int:
        return int(find_denial_nb(self.grant, method, now_ns))

    def may_use(self, account: str, provider: str = "") -> bool:
        wire = self._wire.record[0]
        begin_grant_nb(wire, self.grant, METHOD_DECIDE)
        ids = words(account), words(provider)
        return bool(may_use_nb(wire, *(each.ctypes.data for each in ids)))

    def wait_ns(self, now_ns: int) -> int:
        return int(take_call_nb(self.grant, now_ns))


@pytest.fixture
def grants() -> Grants:
    return Grants("riskgate")


def test_the_paths_of_methods_are_those_of_the_lane() -> None:
    assert tuple(path.encode() for path in METHOD_PATHS.values()) == PATHS
    assert list(METHOD_PATHS) == list(range(1, METHODS))
    assert METHODS <= METHODS_MAX


def test_without_a_grant_every_call_is_denied() -> None:
    assert find_denial_nb(0, METHOD_DECIDE, NOW_NS) == D_NO_CERTIFICATE


def test_a_certificate_is_good_until_its_last_moment(grants: Grants) -> None:
    caller = Caller(grants, ends_ns=NOW_NS)
    assert caller.denial(now_ns=NOW_NS) == D_NONE
    assert caller.denial(now_ns=NOW_NS + 1) == D_CERTIFICATE_EXPIRED


@pytest.mark.parametrize("role", ROLES)
def test_only_traders_decide(grants: Grants, role: str) -> None:
    caller = Caller(grants, f"spiffe://riskgate/{role}/someone")
    assert caller.denial() == (D_NONE if role == "trader" else D_METHOD)


def test_whoever_is_no_identity_of_ours_gets_no_row(
    grants: Grants, caplog: pytest.LogCaptureFixture
) -> None:
    for uri in ("spiffe://elsewhere/trader/x", "spiffe://riskgate/emperor/x", "riskgate"):
        with pytest.raises(ValueError, match="identity"):
            grants.row_for(uri, 0, 1)
        grants.put(Identity(uri=uri, every_account=True))
    assert caplog.text.count("an identity is left out") == 3


def test_any_list_of_accounts_holds_exactly_its_own(grants: Grants) -> None:
    rng = random.Random(1)
    names = ["".join(rng.choices("aZ0_é\x7f", k=rng.randint(1, 30))) for _ in range(600)]
    for count in (0, 1, 2, 3, 17, 255, 256):
        own = set(rng.sample(sorted(set(names)), count))
        grants.put(Identity(uri=TRADER, accounts=own, providers=own))
        caller = Caller(grants)
        assert {name for name in names if caller.may_use(name)} == own
        if own:
            some = min(own)
            may_name = {name for name in names if caller.may_use(some, name)}
            assert may_name == own, "an empty list of providers would be every provider"


def test_an_id_that_only_begins_like_ours_is_not_ours(grants: Grants) -> None:
    grants.put(Identity(uri=TRADER, accounts=["a" * 64, "b" * 63]))
    caller = Caller(grants)
    assert caller.may_use("a" * 64)
    assert not caller.may_use("a" * 63)
    assert not caller.may_use("b" * 64)


@pytest.mark.parametrize(
    ("status", "denial"),
    [
        (identity_pb2.IDENTITY_STATUS_UNSPECIFIED, D_NONE),
        (identity_pb2.IDENTITY_STATUS_ACTIVE, D_NONE),
        (identity_pb2.IDENTITY_STATUS_FROZEN, D_IDENTITY_REVOKED),
        (identity_pb2.IDENTITY_STATUS_REVOKED, D_IDENTITY_REVOKED),
        (9, D_IDENTITY_REVOKED),
    ],
)
def test_only_an_active_identity_may_call(grants: Grants, status: Any, denial: int) -> None:
    caller = Caller(grants)
    grants.put(Identity(uri=TRADER, status=status))
    assert caller.denial() == denial


def test_a_scope_that_was_replaced_stays_readable_for_whoever_still_reads_it() -> None:
    clock = [0]
    grants = Grants("riskgate", read_clock_ns=lambda: clock[0])
    grants.put(Identity(uri=TRADER, accounts=["A"]))
    caller = Caller(grants)
    address = int(holder_of(caller.grant)["scope"])
    for number in range(100):
        clock[0] += SECOND_NS
        grants.put(Identity(uri=TRADER, accounts=[f"B{number}"]))
    scope = np.frombuffer(ctypes.string_at(address, SCOPE.itemsize), SCOPE)[0]
    account = ctypes.string_at(int(scope["accounts"]), 8).rstrip(b"\0")
    assert (int(scope["account_count"]), account) == (1, b"A")
    clock[0] += 1_000 * SECOND_NS
    grants.put(Identity(uri=TRADER))
    assert len(grants._retired) == 1, "what nobody can read any more is let go"


def test_the_same_entry_again_changes_nothing(grants: Grants) -> None:
    grants.put(Identity(uri=TRADER, accounts=["A"]))
    caller = Caller(grants)
    scope = int(holder_of(caller.grant)["scope"])
    grants.put(Identity(uri=TRADER, accounts=["A"]))
    assert int(holder_of(caller.grant)["scope"]) == scope


def test_a_bucket_lets_its_burst_go_at_once_and_its_rate_in_the_long_run(grants: Grants) -> None:
    grants.put(Identity(uri=TRADER, calls_per_second=10, burst=5))
    caller = Caller(grants)
    assert [caller.wait_ns(NOW_NS) for _ in range(6)] == [0] * 5 + [SECOND_NS // 10]
    later_ns = NOW_NS + 1_000 * SECOND_NS
    taken = sum(caller.wait_ns(later_ns + step * SECOND_NS // 1_000) == 0 for step in range(10_000))
    assert taken == 5 + 99, "five at once, then ten a second for ten seconds"


def test_a_bucket_when_time_stands_still_or_goes_back_gives_nothing_away(grants: Grants) -> None:
    grants.put(Identity(uri=TRADER, calls_per_second=10, burst=2))
    caller = Caller(grants)
    assert [caller.wait_ns(NOW_NS) > 0 for _ in range(4)] == [False, False, True, True]
    assert caller.wait_ns(NOW_NS - SECOND_NS) > SECOND_NS


def test_the_open_grant_has_every_right_and_no_limit(grants: Grants) -> None:
    address = grants.open_address
    assert all(find_denial_nb(address, method, NOW_NS) == D_NONE for method in METHOD_PATHS)
    assert not any(take_call_nb(address, NOW_NS) for _ in range(100_000))


def test_denials_are_told_once(grants: Grants) -> None:
    grants.put(Identity(uri=TRADER, accounts=["A"], providers=["p"]))
    caller = Caller(grants)
    assert not caller.may_use("B")
    assert not caller.may_use("A", "q")
    assert not caller.may_use("A", "q")
    count_call_denial_nb(caller.grant, METHOD_DECIDE, D_METHOD)
    grants.note_refused("", "expired")
    decide = METHOD_PATHS[METHOD_DECIDE]
    assert set(grants.denials()) == {
        DenialCount(TRADER, decide, "account", 1),
        DenialCount(TRADER, decide, "provider", 2),
        DenialCount(TRADER, decide, "method", 1),
        DenialCount("", "", "expired", 1),
    }
    assert grants.denials() == []
    assert not caller.may_use("B")
    assert grants.denials() == [DenialCount(TRADER, decide, "account", 1)]
    assert D_ACCOUNT != D_PROVIDER


def test_a_listed_certificate_is_barred_and_let_in_again_when_it_is_not(tmp_path: Path) -> None:
    clock = [0]
    authority = Authority()
    issued = authority.issue_client(TRADER)
    ca, _ = authority.issued.write(tmp_path, "ca")
    crl = tmp_path / "ca.crl"
    crl.write_bytes(authority.revoke())
    revoked = RevokedCertificates(crl, ca, read_clock_ns=lambda: clock[0])
    grants = Grants("riskgate", revoked)
    grant = grants.row_for(TRADER, 0, issued.certificate.serial_number)
    assert grant_of(grant)["bar"] == D_NONE
    for listed, bar in (((issued,), D_CERTIFICATE_REVOKED), ((), D_NONE)):
        crl.write_bytes(authority.revoke(*listed))
        clock[0] += SECOND_NS
        grants.look_at_crl()
        assert grant_of(grant)["bar"] == bar
        assert find_denial_nb(grant, METHOD_DECIDE, NOW_NS) == bar
        assert grants.is_barred(issued.certificate.serial_number) == (bar != D_NONE)


def test_an_entry_that_cannot_be_used_is_refused_each_time_it_comes(grants: Grants) -> None:
    grants.put(Identity(uri=TRADER, accounts=["A"]))
    grants.row_for(TRADER, 0, 1)
    for _ in range(2):
        with pytest.raises(ValueError, match="at most 64 bytes"):
            grants.put(Identity(uri=TRADER, accounts=["A" * 65]))
