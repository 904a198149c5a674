"""Who may call the decision port, and about what: the same answers from both lanes, over real TLS.

Each test is one control. Switched off, its test turns red.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import identity_pb2
from riskgate.v1.rights_pb2 import Role
from server.hotpath.journal.entries import CALL_KINDS, KIND_NAMES
from server.journal.reader import read_call, read_entries
from server.security.denial_spool import read_spool
from server.security.grants import METHOD_PATHS
from server.security.identity_name import ROLES
from server.security.rights import RIGHTS
from tests.certificates import CLIENT_URI, Authority
from tests.decision_harness import good_request
from tests.hotpath.lane.test_lane_journal import journaled
from tests.trusted_port import (
    LANES,
    Code,
    TrustedPort,
    message_of,
    open_trusted,
    outcome_of,
    path_of,
)

TRADER = "spiffe://riskgate/trader/desk"
OTHERS = "this identity may not use this account or provider"
NOT_YOURS = (Code.PERMISSION_DENIED, OTHERS)
REVOKED = (Code.PERMISSION_DENIED, "this identity is frozen or revoked")
METHODS = [path.rpartition("/")[2] for path in METHOD_PATHS.values() if path in RIGHTS]
ABOUT_ACCOUNTS = [
    method for method in METHODS if method not in {"WatchDirectives", "AckDirective", "Kill"}
]
ASK = message_of("Decide", "A")


@pytest.fixture(params=LANES)
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TrustedPort]:
    with open_trusted(request.param, tmp_path) as port:
        yield port


def trader(port: TrustedPort, *accounts: str, **fields: Any) -> Any:
    """Return a channel of a trader that owns some accounts."""
    port.put(TRADER, *accounts, **fields)
    return port.dial(port.pki.authority.issue_client(TRADER))


def item_codes(channel: Any, *requests: pb.DecideRequest, together: bool = False) -> Any:
    message = pb.DecideBatchRequest(requests=requests, all_or_none=together)
    return outcome_of(channel, "DecideBatch", message.SerializeToString())


# --- Rights: every method × every role × own and other ---


@pytest.mark.parametrize("lane", LANES)
def test_every_method_answers_exactly_those_roles_that_its_right_names(
    lane: str, tmp_path: Path
) -> None:
    cells = wrong = 0
    with open_trusted(lane, tmp_path) as port:
        for who, channel in callers(port):
            with channel:
                for method in METHODS:
                    for account_id in ("A", "other"):
                        found = outcome_of(channel, method, message_of(method, account_id))[0]
                        cells += 1
                        wrong += found not in expected(who, method, account_id)
    assert (cells, wrong) == (len(METHODS) * 7 * 2, 0)


def callers(port: TrustedPort) -> Iterator[tuple[str, Any]]:
    """Yield a channel of every kind of caller; account A is theirs if their role lets them."""
    authority = port.pki.authority
    yield "none", port.dial(None)
    for role in ROLES:
        uri = f"spiffe://riskgate/{role}/someone"
        port.put(uri, "A")
        yield role, port.dial(authority.issue_client(uri))
    gone = "spiffe://riskgate/trader/gone"
    port.put(gone, "A", status=identity_pb2.IDENTITY_STATUS_REVOKED)
    yield "revoked", port.dial(authority.issue_client(gone))
    yield "expired", dial_with_ended(port)


def dial_with_ended(port: TrustedPort) -> Any:
    """Return a channel whose certificate was good when it connected, and is not any more."""
    port.put(CLIENT_URI, "A")
    own = port.pki.authority.issue(ends=timedelta(seconds=4))
    channel = port.dial(own)
    assert outcome_of(channel, "Decide", ASK) == (Code.OK, "")
    ends_at_s = own.certificate.not_valid_after_utc.timestamp()
    port.wait_for(lambda: time.time() > ends_at_s + 1.0)
    return channel


def expected(who: str, method: str, account_id: str) -> set[Code]:
    if who == "none":
        return {Code.UNAVAILABLE, Code.UNAUTHENTICATED}
    if who == "revoked":
        return {Code.PERMISSION_DENIED}
    if who == "expired":
        return {Code.UNAUTHENTICATED}
    role: Role = ROLES[who]
    if role not in RIGHTS[path_of(method)].roles:
        return {Code.PERMISSION_DENIED}
    if method == "AckDirective":
        return {Code.NOT_FOUND}
    if method == "Kill":
        return {Code.OK}
    return {Code.OK} if account_id == "A" else {Code.PERMISSION_DENIED}


# --- Accounts and providers ---


@pytest.mark.parametrize("method", ABOUT_ACCOUNTS)
def test_a_trader_may_use_its_own_account_and_no_other(port: TrustedPort, method: str) -> None:
    with trader(port, "B", "A", "C") as channel:
        assert outcome_of(channel, method, message_of(method, "A")) == (Code.OK, "")
        before = port.engine.state.engine[0]["sequence"]
        assert outcome_of(channel, method, message_of(method, "other")) == NOT_YOURS
        assert port.engine.state.engine[0]["sequence"] == before, "nothing was decided"


def test_a_trader_without_an_entry_may_use_no_account(port: TrustedPort) -> None:
    with port.dial(port.pki.authority.issue_client(TRADER)) as channel:
        assert outcome_of(channel, "Decide", ASK) == NOT_YOURS
        port.put(TRADER, "A")
        assert outcome_of(channel, "Decide", ASK) == (Code.OK, "")
        port.grants.forget(TRADER)
        assert outcome_of(channel, "Decide", ASK) == NOT_YOURS


def test_of_256_accounts_each_is_found_and_nothing_between_them(port: TrustedPort) -> None:
    accounts = [f"account-with-a-long-name-{number * 7919 % 100_003}" for number in range(255)]
    with trader(port, "A", *accounts) as channel:
        for account_id in accounts[::16]:
            code, text = outcome_of(
                channel, "ReportExecution", message_of("ReportExecution", account_id)
            )
            assert (code, text) == (Code.NOT_FOUND, f"not found: account {account_id}")
            wrong = message_of("Decide", account_id[:-1] + "x")
            assert outcome_of(channel, "Decide", wrong) == NOT_YOURS
        assert outcome_of(channel, "Decide", ASK) == (Code.OK, "")


def test_a_trader_with_providers_may_name_no_other(port: TrustedPort) -> None:
    other = good_request(provider_id="channel_9", dry_run=True).SerializeToString()
    with trader(port, "A", providers=["channel_12345"]) as channel:
        assert outcome_of(channel, "Decide", ASK) == (Code.OK, "")
        assert outcome_of(channel, "Decide", other) == NOT_YOURS
        port.put(TRADER, "A")
        assert outcome_of(channel, "Decide", other) == (Code.OK, "")


def test_an_order_that_names_nobody_is_refused_for_that(port: TrustedPort) -> None:
    with trader(port, "A", providers=["channel_12345"]) as channel:
        for field in ("account_id", "provider_id"):
            raw = good_request(**{field: ""}).SerializeToString()
            assert outcome_of(channel, "Decide", raw)[1] == f"{field}: is required"


@pytest.mark.parametrize("together", [False, True])
def test_a_batch_with_one_foreign_item_is_denied_as_a_whole(
    port: TrustedPort, *, together: bool
) -> None:
    good, foreign = good_request(client_order_id="o"), good_request(account_id="other")
    with trader(port, "A") as channel:
        before = port.engine.state.engine[0]["sequence"]
        assert item_codes(channel, good, foreign, together=together) == NOT_YOURS
        assert port.engine.state.engine[0]["sequence"] == before
        assert item_codes(channel, good, good_request(account_id="x" * 65)) == (Code.OK, "")


def test_a_stream_goes_on_after_a_foreign_item(port: TrustedPort) -> None:
    raws = [message_of("DecideStream", account_id) for account_id in ("A", "other", "A")]
    with trader(port, "A") as channel:
        answers = channel.stream_stream(path_of("DecideStream"))(iter(raws), timeout=10)
        codes = [pb.DecideStreamResponse.FromString(raw).error.code for raw in answers]
    assert codes == [0, Code.PERMISSION_DENIED.value[0], 0]


def test_an_entry_that_changes_counts_for_the_next_call_of_a_live_connection(
    port: TrustedPort,
) -> None:
    with trader(port, "A") as channel:
        assert outcome_of(channel, "Decide", ASK) == (Code.OK, "")
        port.put(TRADER, "B")
        assert outcome_of(channel, "Decide", ASK) == NOT_YOURS
        port.put(TRADER, every_account=True)
        assert outcome_of(channel, "Decide", ASK) == (Code.OK, "")


# --- Revocation on live connections ---


@pytest.mark.parametrize("status", ["FROZEN", "REVOKED"])
def test_a_frozen_or_revoked_identity_is_denied_on_its_live_connection(
    port: TrustedPort, status: str
) -> None:
    with trader(port, "A") as channel:
        assert outcome_of(channel, "Decide", ASK) == (Code.OK, "")
        port.put(TRADER, "A", status=identity_pb2.IdentityStatus.Value(f"IDENTITY_STATUS_{status}"))
        for method in METHODS:
            if method != "DecideStream":
                assert outcome_of(channel, method, message_of(method, "A")) == REVOKED
        port.put(TRADER, "A", status=identity_pb2.IDENTITY_STATUS_ACTIVE)
        assert outcome_of(channel, "Decide", ASK) == (Code.OK, "")


def test_an_open_stream_ends_when_its_identity_is_revoked(port: TrustedPort) -> None:
    revoked = threading.Event()

    def messages() -> Iterator[bytes]:
        yield message_of("DecideStream", "A")
        assert revoked.wait(20)
        yield message_of("DecideStream", "A")

    with trader(port, "A") as channel:
        answers = channel.stream_stream(path_of("DecideStream"))(messages(), timeout=30)
        assert pb.DecideStreamResponse.FromString(next(answers)).HasField("response")
        port.put(TRADER, "A", status=identity_pb2.IDENTITY_STATUS_REVOKED)
        revoked.set()
        with pytest.raises(grpc.RpcError) as failure:
            next(answers)
        assert failure.value.code() == Code.PERMISSION_DENIED


def test_a_revoked_certificate_is_denied_on_its_live_connection_and_another_is_not(
    port: TrustedPort,
) -> None:
    port.put(TRADER, "A")
    own, spare = (port.pki.authority.issue_client(TRADER) for _ in "ab")
    with port.dial(own) as channel, port.dial(spare) as other:
        assert outcome_of(channel, "Decide", ASK) == (Code.OK, "")
        assert outcome_of(other, "Decide", ASK) == (Code.OK, "")
        port.pki.revoke(own)
        listed_at_s = time.monotonic()
        while outcome_of(channel, "Decide", ASK)[0] == Code.OK:
            assert time.monotonic() - listed_at_s < 20
        assert outcome_of(channel, "Decide", ASK) == (
            Code.UNAUTHENTICATED,
            "this certificate is revoked",
        )
        assert outcome_of(other, "Decide", ASK) == (Code.OK, "")
    with port.dial(own) as channel:
        assert outcome_of(channel, "Decide", ASK)[0] in {Code.UNAVAILABLE, Code.UNAUTHENTICATED}


def test_a_list_that_the_authority_has_not_signed_lets_nobody_in(port: TrustedPort) -> None:
    port.put(TRADER, "A")
    port.pki.crl.write_bytes(Authority("test authority").revoke())
    with port.dial(port.pki.authority.issue_client(TRADER)) as channel:
        assert outcome_of(channel, "Decide", ASK)[0] in {Code.UNAVAILABLE, Code.UNAUTHENTICATED}


# --- Rate ---


def call_until_refused(port: TrustedPort, *channels: Any) -> tuple[int, float]:
    """Return how many calls were taken before one was not, and in which time, seconds."""
    begun_s = time.monotonic()
    for number in range(1_000):
        code, text = outcome_of(channels[number % len(channels)], "Decide", ASK)
        if code != Code.OK:
            assert (code, text) == (Code.RESOURCE_EXHAUSTED, "too many calls")
            return number, time.monotonic() - begun_s
    raise AssertionError("no call was ever refused")


def pushback_ms(channel: Any) -> int:
    """Make a call that is refused; return when it should be made again."""
    with pytest.raises(grpc.RpcError) as failure:
        channel.unary_unary(path_of("Decide"))(ASK, timeout=10)
    error: Any = failure.value
    assert (error.code(), error.details()) == (Code.RESOURCE_EXHAUSTED, "too many calls")
    return int(dict(error.trailing_metadata())["grpc-retry-pushback-ms"])


def test_calls_beyond_the_rate_are_refused_with_the_time_to_wait(port: TrustedPort) -> None:
    with trader(port, "A", calls_per_second=1, burst=20) as channel:
        taken, took_s = call_until_refused(port, channel)
        assert 20 <= taken <= 20 + took_s + 1
        wait_ms = pushback_ms(channel)
        assert 0 < wait_ms <= 1_000
        time.sleep(wait_ms / 1_000)
        assert outcome_of(channel, "Decide", ASK) == (Code.OK, "")


def test_all_connections_of_an_identity_share_its_rate(port: TrustedPort) -> None:
    port.put(TRADER, "A", calls_per_second=1, burst=20)
    channels = [port.dial(port.pki.authority.issue_client(TRADER)) for _ in range(3)]
    taken, took_s = call_until_refused(port, *channels)
    assert taken <= 20 + took_s + 1
    for channel in channels:
        channel.close()


def test_a_batch_pays_for_each_of_its_items(port: TrustedPort) -> None:
    with trader(port, "A", calls_per_second=1, burst=2) as channel:
        assert item_codes(channel, *[good_request(dry_run=True)] * 900)[0] == Code.OK
        assert pushback_ms(channel) > 600_000


def test_messages_of_a_stream_beyond_the_rate_fail_alone(port: TrustedPort) -> None:
    raws = [message_of("DecideStream", "A")] * 200
    with trader(port, "A", calls_per_second=1, burst=20) as channel:
        answers = channel.stream_stream(path_of("DecideStream"))(iter(raws), timeout=30)
        found = [pb.DecideStreamResponse.FromString(raw) for raw in answers]
    assert [answer.tag for answer in found] == [1] * 200
    assert not any(answer.error.code for answer in found[:20])
    assert (found[-1].error.code, found[-1].error.message) == (8, "too many calls")


# --- What was denied is told ---


@pytest.mark.parametrize("lane", LANES)
def test_denied_calls_are_counted_by_identity_method_and_reason_and_spooled(
    lane: str, tmp_path: Path
) -> None:
    with open_trusted(lane, tmp_path) as port:
        with trader(port, "A", providers=["channel_12345"]) as channel:
            for method in ABOUT_ACCOUNTS:
                outcome_of(channel, method, message_of(method, "other"))
            outcome_of(channel, "Decide", good_request(provider_id="x").SerializeToString())
        auditor = "spiffe://riskgate/auditor/eve"
        with port.dial(port.pki.authority.issue_client(auditor)) as channel:
            for _ in range(3):
                outcome_of(channel, "SyncAccount", message_of("SyncAccount", "A"))
        with port.dial(port.pki.authority.issue_client("spiffe://nowhere/trader/x")) as channel:
            outcome_of(channel, "Decide", ASK)
    counts: Counter[tuple[str, str, str]] = Counter()
    for line in read_spool(tmp_path):
        counts[line.identity, line.method, line.reason] += line.count
    refused = counts.pop(("", "", "unusable_identity"))
    assert refused >= 1, "gRPC may connect more than once"
    assert counts == {
        **{(TRADER, path_of(method), "account"): 1 for method in ABOUT_ACCOUNTS},
        (TRADER, path_of("Decide"), "provider"): 1,
        (auditor, path_of("SyncAccount"), "method"): 3,
    }


@pytest.mark.parametrize("lane", LANES)
def test_a_call_is_journaled_under_the_identity_of_its_caller(lane: str, tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    folder = tmp_path / "journal"
    with (
        journaled(folder) as engine,
        open_trusted(lane, tmp_path, engine) as port,
        trader(port, "A") as channel,
    ):
        order = good_request(client_order_id="o").SerializeToString()
        assert outcome_of(channel, "Decide", order) == (Code.OK, "")
        assert outcome_of(channel, "Decide", message_of("Decide", "other")) == NOT_YOURS
        sync = message_of("SyncAccount", "A")
        assert outcome_of(channel, "SyncAccount", sync) == (Code.OK, "")
    calls = [entry for entry in read_entries(folder) if entry.kind in CALL_KINDS]
    assert [KIND_NAMES[entry.kind] for entry in calls] == ["decide", "sync"]
    assert {read_call(entry).identity for entry in calls} == {TRADER.encode()}
