"""Control is killed again and again between admin calls: no call that counts is without its row."""

import random
import signal
import threading
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from psycopg.rows import dict_row

from riskgate.v1 import admin_pb2, reference_pb2, reference_pb2_grpc
from server.record.audit_chain import AuditLog
from server.security.audit_verification import Verified, verify_log
from server.security.head_files import HeadFiles, read_heads
from server.security.key_files import load_public_key
from server.security.keys import WITNESS_PUBLIC_KEY_FILE
from tests.control_harness import reset
from tests.control_process import control_process

SEED = 3
CALLERS = 4
ACCOUNTS = 30
# Of a hundred calls so many are refused: more than 50 of one caller in ten seconds share rows.
REFUSED_OF_HUNDRED = 1
TOLD = {"OK", "INVALID_ARGUMENT"}


class Callers:
    """Threads that call one after another, and what they were told.

    Args:
        port: Of control.
        calls: How many in all.
    """

    def __init__(self, port: int, calls: int) -> None:
        self._numbers = iter(range(1, calls + 1))
        self._lock = threading.Lock()
        self._port = port
        self.told: dict[int, str] = {}
        self.threads = [threading.Thread(target=self._call_on) for _ in range(CALLERS)]

    def _call_on(self) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 200)]
        with grpc.insecure_channel(f"127.0.0.1:{self._port}", options=options) as channel:
            stub: Any = reference_pb2_grpc.ReferenceServiceStub(channel)
            while True:
                with self._lock:
                    number = next(self._numbers, None)
                if number is None:
                    return
                try:
                    stub.PutAccount(request(number), timeout=120, wait_for_ready=True)
                    self.told[number] = "OK"
                except grpc.RpcError as error:
                    self.told[number] = error.code().name


def request(number: int) -> reference_pb2.PutAccountRequest:
    dice = random.Random(f"{SEED} {number}")
    # A few amounts only, so that some calls find nothing to change.
    equity = -1 if dice.randrange(100) < REFUSED_OF_HUNDRED else dice.randint(1, 3) * 1_000
    account = reference_pb2.Account(
        account_id=f"account{dice.randrange(ACCOUNTS)}", currency="USD", equity=equity
    )
    note = admin_pb2.ChangeNote(reason=f"call {number}")
    return reference_pb2.PutAccountRequest(account=account, note=note)


def test_no_row_is_missing_after_kills(database_url: str, redis_url: str, tmp_path: Path) -> None:
    call_and_kill(database_url, redis_url, tmp_path, calls=240, kills=3)


@pytest.mark.campaign
@pytest.mark.timeout(3_600)
def test_no_row_is_missing_after_ten_thousand_calls_with_kills(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    call_and_kill(database_url, redis_url, tmp_path, calls=10_000, kills=40)


def call_and_kill(
    database_url: str, redis_url: str, data_dir: Path, *, calls: int, kills: int
) -> None:
    reset(database_url, redis_url)
    dice = random.Random(SEED)
    with control_process(data_dir, database_url, redis_url) as control:
        callers = Callers(control.port, calls)
        for thread in callers.threads:
            thread.start()
        for due in sorted(dice.sample(range(calls // 10, calls * 9 // 10), kills)):
            while len(callers.told) < due and any(each.is_alive() for each in callers.threads):
                callers.threads[0].join(0.001)
            control.end(signal.SIGKILL)
            control.start()
        for thread in callers.threads:
            thread.join()
        assert control.end(signal.SIGTERM) == 0
        control.start()
    assert len(callers.told) == calls
    judge(database_url, data_dir, callers.told, kills)


def judge(database_url: str, data_dir: Path, told: dict[int, str], kills: int) -> None:
    with psycopg.connect(database_url, row_factory=dict_row) as opened:
        rows = opened.execute("SELECT * FROM riskgate.audit_log ORDER BY audit_id").fetchall()
        accounts = opened.execute("SELECT account_id, equity FROM riskgate.account").fetchall()
    counted = Counter(row["reason"] for row in rows)
    outcomes = {row["reason"]: row["outcome"] for row in rows}
    for number, code in told.items():
        reason = f"call {number}"
        assert counted[reason] == 1 or (code not in TOLD and counted[reason] == 0), (reason, code)
        if code in TOLD:
            assert (outcomes[reason] == "refused") == (code == "INVALID_ARGUMENT")
    assert set(counted) <= {f"call {number}" for number in told}
    assert {"done", "unchanged"} <= set(outcomes.values())
    # And the other way round: nothing has changed without a row that says so.
    newest = {
        row["subject_key"]: Decimal(row["new_value"]["equity"])
        for row in rows
        if row["outcome"] == "done"
    }
    assert {row["account_id"]: row["equity"] for row in accounts} == newest
    verified = verify(database_url, data_dir)
    assert verified.finding is None
    assert verified.covered_rows == len(rows)
    assert verified.head_count > kills


def verify(database_url: str, data_dir: Path) -> Verified:
    files = HeadFiles(data_dir / "heads")
    key = load_public_key(data_dir / "keys" / WITNESS_PUBLIC_KEY_FILE)
    heads = read_heads(files, key)
    with AuditLog(database_url) as log:
        return verify_log(log.read, log.read_head_row(), heads, files.read_fingerprints())
