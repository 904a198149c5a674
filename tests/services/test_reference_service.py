"""ReferenceService end to end over a real port."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from riskgate.v1 import admin_pb2, types_pb2
from riskgate.v1 import reference_pb2 as pb
from tests.control_harness import Control, eurusd, play, put_account, refusal

CREATED = admin_pb2.CHANGE_OUTCOME_CREATED
UPDATED = admin_pb2.CHANGE_OUTCOME_UPDATED
UNCHANGED = admin_pb2.CHANGE_OUTCOME_UNCHANGED
WHY = admin_pb2.ChangeNote(reason="no longer traded")


def put(instrument: pb.Instrument, **note: str) -> pb.PutInstrumentRequest:
    return pb.PutInstrumentRequest(instrument=instrument, note=admin_pb2.ChangeNote(**note))


def test_put_instrument_when_spec_is_unchanged_then_no_new_version(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        service = parts.reference
        first = await service.PutInstrument(put(eurusd(), actor="ann", reason="new market"))
        again = await service.PutInstrument(put(eurusd()))
        wider = await service.PutInstrument(put(eurusd(max_lot=200)))
        answers = (first, again, wider)
        assert [answer.outcome for answer in answers] == [CREATED, UNCHANGED, UPDATED]
        assert [answer.state_version for answer in answers] == [1, 1, 2]
        read = await service.GetInstrument(pb.GetInstrumentRequest(symbol="EURUSD"))
        assert read.instrument == wider.instrument
        assert read.instrument.tick_size == 0.00001
        with psycopg.connect(database_url) as connection:
            audit = connection.execute(
                "SELECT actor, action, subject_key, reason, old_value->>'max_lot',"
                " new_value->>'max_lot', state_version, outcome"
                " FROM riskgate.audit_log ORDER BY audit_id"
            ).fetchall()
        assert audit == [
            ("ann", "create", "EURUSD", "new market", None, "100", 1, "done"),
            ("", "PutInstrument", "", "", None, None, 1, "unchanged"),
            ("", "update", "EURUSD", "", "100", "200", 2, "done"),
        ]

    play(database_url, redis_url, tmp_path, scenario)


NUMBERS = [
    name
    for name, field in pb.Instrument.DESCRIPTOR.fields_by_name.items()
    if field.type == field.TYPE_DOUBLE
]
MAY_BE_0 = {"default_slippage_pips", "commission_per_lot"}
OPTIONAL_NUMBERS = MAY_BE_0 | {"collar_percentage", "collar_window_percentage"}


def test_put_instrument_when_any_number_is_bad_then_invalid_argument_names_it(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        for name in NUMBERS:
            bad: list[float | None] = [float("nan"), float("inf"), float("-inf"), -1.0, 1e308]
            if name not in MAY_BE_0:
                bad.append(0.0)
            if name not in OPTIONAL_NUMBERS:
                bad.append(None)
            for value in bad:
                instrument = eurusd(**{name: value})
                code, text, field = await refusal(parts.reference.PutInstrument(put(instrument)))
                assert code == grpc.StatusCode.INVALID_ARGUMENT, (name, value, text)
                assert field == f"instrument.{name}", (name, value, text)

    play(database_url, redis_url, tmp_path, scenario)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"symbol": ""}, "symbol"),
        ({"symbol": "S" * 33}, "symbol"),
        ({"symbol": "EUR\nUSD"}, "symbol"),
        ({"symbol": "\N{EURO SIGN}"}, "symbol"),
        ({"exchange": "x" * 33}, "exchange"),
        ({"base_currency": "eur"}, "base_currency"),
        ({"quote_currency": ""}, "quote_currency"),
        ({"correlation_group": "g" * 33}, "correlation_group"),
        ({"pip_size": 0.000015}, "pip_size"),
        ({"min_lot": 0.015}, "min_lot"),
        ({"max_lot": 0.001}, "max_lot"),
        ({"contract_size": 0.0000001}, "contract_size"),
        ({"default_slippage_pips": 0.0000001}, "default_slippage_pips"),
    ],
)
def test_put_instrument_when_field_is_bad_then_named(
    database_url: str, redis_url: str, tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    async def scenario(parts: Control) -> None:
        code, text, named = await refusal(parts.reference.PutInstrument(put(eurusd(**changes))))
        assert (code, named) == (grpc.StatusCode.INVALID_ARGUMENT, f"instrument.{field}")
        assert text.startswith(f"invalid field: instrument.{field}: ")

    play(database_url, redis_url, tmp_path, scenario)


def test_put_account_when_spec_is_unchanged_then_the_equity_mark_stays(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        first = await put_account(parts, equity=10_000)
        again = await put_account(parts, equity=10_000)
        assert (again.outcome, again.account) == (UNCHANGED, first.account)
        slower = await put_account(parts, equity=10_000, reservation_ttl_ms=60_000)
        assert slower.outcome == UPDATED
        assert slower.account.equity_as_of == first.account.equity_as_of
        without = await put_account(parts, equity=None, reservation_ttl_ms=60_000)
        assert (without.outcome, without.account.equity) == (UNCHANGED, 10_000)
        marked = await put_account(parts, equity=12_000, reservation_ttl_ms=60_000)
        stamp = marked.account.equity_as_of.ToNanoseconds()
        assert stamp > first.account.equity_as_of.ToNanoseconds()

    play(database_url, redis_url, tmp_path, scenario)


def test_put_account_when_defaults_apply_then_stated_in_the_answer(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        account = (await put_account(parts)).account
        assert account.reservation_ttl_ms == 30_000
        assert account.HasField("allow_new_providers")
        assert not account.allow_new_providers
        assert account.timezone == "UTC"
        assert account.trading_state == types_pb2.TRADING_STATE_ACTIVE
        assert not account.HasField("equity_max_age_ms")

    play(database_url, redis_url, tmp_path, scenario)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"account_id": "a" * 65}, "account_id"),
        ({"currency": "usd"}, "currency"),
        ({"equity": None}, "equity"),
        ({"equity": 0}, "equity"),
        ({"equity": float("nan")}, "equity"),
        ({"equity": 1.1e12}, "equity"),
        ({"equity": 0.0000001}, "equity"),
        ({"reservation_ttl_ms": 0}, "reservation_ttl_ms"),
        ({"reservation_ttl_ms": 300_001}, "reservation_ttl_ms"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
        ({"trading_state": 9}, "trading_state"),
        ({"equity_max_age_ms": 0}, "equity_max_age_ms"),
        ({"equity_as_of": Timestamp(seconds=2**62)}, "equity_as_of"),
        ({"equity_as_of": Timestamp(seconds=1)}, "equity_as_of"),
    ],
)
def test_put_account_when_field_is_bad_then_named(
    database_url: str, redis_url: str, tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    async def scenario(parts: Control) -> None:
        code, _, named = await refusal(put_account(parts, **changes))
        assert (code, named) == (grpc.StatusCode.INVALID_ARGUMENT, f"account.{field}")

    play(database_url, redis_url, tmp_path, scenario)


def test_put_account_when_mark_is_from_the_future_or_older_then_refused(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts, equity=1_000)
        for shift in (timedelta(hours=1), timedelta(hours=-1)):
            stamp = Timestamp()
            stamp.FromDatetime(datetime.now(UTC) + shift)
            code, _, field = await refusal(put_account(parts, equity=2_000, equity_as_of=stamp))
            assert (code, field) == (grpc.StatusCode.INVALID_ARGUMENT, "account.equity_as_of")

    play(database_url, redis_url, tmp_path, scenario)


def test_list_accounts_when_paged_then_every_one_once_in_order(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        names = [f"A{number:02d}" for number in range(25)]
        for name in reversed(names):
            await put_account(parts, name)
        seen: list[str] = []
        token, pages = "", 0
        while token or not pages:
            request = pb.ListAccountsRequest(page_size=10, page_token=token)
            answer = await parts.reference.ListAccounts(request)
            seen += [account.account_id for account in answer.accounts]
            token, pages = answer.next_page_token, pages + 1
            # A row in front of the page must not shift the ones behind it.
            await put_account(parts, f"A0{pages}-later")
        assert [name for name in seen if "later" not in name] == names
        assert pages == 3
        for bad in ({"page_size": 1_001}, {"page_token": "x"}, {"page_token": "W10"}):
            call = parts.reference.ListAccounts(pb.ListAccountsRequest(**bad))
            code, _, _ = await refusal(call)
            assert code == grpc.StatusCode.INVALID_ARGUMENT

    play(database_url, redis_url, tmp_path, scenario)


def test_delete_when_absent_or_in_use_then_typed(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        gone = parts.reference.DeleteInstrument(pb.DeleteInstrumentRequest(symbol="NOPE", note=WHY))
        assert (await refusal(gone))[0] == grpc.StatusCode.NOT_FOUND
        gone = parts.reference.GetAccount(pb.GetAccountRequest(account_id="nobody"))
        assert (await refusal(gone))[0] == grpc.StatusCode.NOT_FOUND

    play(database_url, redis_url, tmp_path, scenario)
