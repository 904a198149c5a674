"""Rows S0-81, T15, G41: a code is right once, over all processes; five wrong ones lock."""

import asyncio
import multiprocessing
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pyotp
import pytest

from server.errors import BrokenInvariantError, RiskgateError
from server.record.migrate import migrate
from server.record.pool import Pool, connection, open_pool
from server.record.sealed_fields import use_ring
from server.record.second_factor import SecondFactorRepository, check_code
from server.security.field_encryption import KeyRing
from server.security.one_time_codes import STEP_S, WRONG_CODES_MAX, make_secret
from server.trust_errors import SealedValueError, SecondFactorError

ANNA = "spiffe://riskgate/admin/anna"
BERT = "spiffe://riskgate/admin/bert"
NOW_S = 60_000_000 * STEP_S
FACTORS = SecondFactorRepository()


@pytest.fixture
def migrated(database_url: str) -> str:
    with psycopg.connect(database_url, autocommit=True) as opened:
        opened.execute("DROP SCHEMA IF EXISTS riskgate CASCADE")
    migrate(database_url)
    return database_url


async def enroll(pool: Pool, keys_dir: Path, uri: str = ANNA) -> pyotp.TOTP:
    ring = KeyRing.ensure(keys_dir)
    use_ring(pool, ring)
    secret = make_secret()
    async with connection(pool) as database:
        await FACTORS.enroll(database, ring, uri, secret)
    return pyotp.TOTP(secret)


async def refusal(call: Awaitable[None]) -> str:
    """Return why a code was refused; empty: it was not."""
    try:
        await call
    except SecondFactorError as error:
        return error.detail
    return ""


def run(url: str, scenario: Callable[[Pool], Awaitable[Any]]) -> Any:
    async def with_pool() -> Any:
        async with open_pool(url) as pool:
            return await scenario(pool)

    return asyncio.run(with_pool())


def _try_codes(
    url: str, keys_dir: Path, steps: list[tuple[str, float]], start: Any, accepted: Any
) -> None:
    """In a process of its own: send each code at its instant, and tell which were right."""

    async def scenario(pool: Pool) -> list[int]:
        use_ring(pool, KeyRing.load(keys_dir))
        found = []
        for index, (code, now_s) in enumerate(steps):
            reason = await refusal(check_code(pool, ANNA, code, now_s=now_s))
            assert reason in {"", "the code was used before"}
            if not reason:
                found.append(index)
        return found

    start.wait()
    accepted.put(run(url, scenario))


def accepted_by_two_processes(
    url: str, keys_dir: Path, steps: list[tuple[str, float]]
) -> list[int]:
    """Send the same codes from two processes at once and return the places of those accepted."""
    spawn = multiprocessing.get_context("spawn")
    start, accepted = spawn.Barrier(2), spawn.Queue()
    processes = [
        spawn.Process(target=_try_codes, args=(url, keys_dir, steps, start, accepted))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    try:
        return [index for _ in processes for index in accepted.get(timeout=300)]
    finally:
        for process in processes:
            process.join(60)
            assert process.exitcode == 0


def test_a_code_at_two_processes_at_once_is_right_at_one(migrated: str, tmp_path: Path) -> None:
    async def prepare(pool: Pool) -> pyotp.TOTP:
        return await enroll(pool, tmp_path)

    codes = run(migrated, prepare)
    instants = [NOW_S + step * STEP_S for step in range(200)]
    steps = [(codes.at(instant), float(instant)) for instant in instants]
    accepted = accepted_by_two_processes(migrated, tmp_path, steps)
    assert sorted(accepted) == list(range(len(steps)))


def replay(url: str, keys_dir: Path, count: int) -> None:
    """Use one code, then send it and the one before `count` times from two processes."""

    async def use_one(pool: Pool) -> pyotp.TOTP:
        codes = await enroll(pool, keys_dir)
        await check_code(pool, ANNA, codes.at(NOW_S), now_s=NOW_S)
        return codes

    codes = run(url, use_one)
    # Over the whole time in which a code that nobody used would be right.
    window_s = range(NOW_S - STEP_S, NOW_S + 2 * STEP_S)
    steps = [
        (codes.at(NOW_S - STEP_S * (index % 2 and at_s < NOW_S + STEP_S)), float(at_s))
        for index in range(count // 2)
        for at_s in [window_s[index % len(window_s)]]
    ]
    assert accepted_by_two_processes(url, keys_dir, steps) == []

    async def use_next(pool: Pool) -> None:
        # Not because of a lock: replays are no guesses, and the next code is right.
        use_ring(pool, KeyRing.load(keys_dir))
        await check_code(pool, ANNA, codes.at(NOW_S + STEP_S), now_s=NOW_S + STEP_S)

    run(url, use_next)


def test_used_codes_are_refused_hundreds_of_times(migrated: str, tmp_path: Path) -> None:
    replay(migrated, tmp_path, 400)


@pytest.mark.campaign
def test_used_codes_are_refused_ten_thousand_times(migrated: str, tmp_path: Path) -> None:
    replay(migrated, tmp_path, 10_000)


def test_five_wrong_codes_lock_until_somebody_unlocks(migrated: str, tmp_path: Path) -> None:
    async def scenario(pool: Pool) -> None:
        codes = await enroll(pool, tmp_path)
        others = await enroll(pool, tmp_path, BERT)
        right = codes.at(NOW_S)
        wrong = f"{(int(right) + 1) % 1_000_000:06d}"
        for _ in range(WRONG_CODES_MAX):
            assert await refusal(check_code(pool, ANNA, wrong, now_s=NOW_S + 3_600)) == (
                "the code is wrong"
            )
        assert "locked" in await refusal(check_code(pool, ANNA, right, now_s=NOW_S))
        # Nobody else is.
        await check_code(pool, BERT, others.at(NOW_S), now_s=NOW_S)
        async with connection(pool) as database:
            assert await FACTORS.unlock(database, ANNA)
            assert not await FACTORS.unlock(database, BERT)
        await check_code(pool, ANNA, right, now_s=NOW_S)

    run(migrated, scenario)


def test_wrong_codes_are_counted_from_many_callers_at_once(migrated: str, tmp_path: Path) -> None:
    async def scenario(pool: Pool) -> list[str]:
        codes = await enroll(pool, tmp_path)
        right = codes.at(NOW_S)
        guesses = [f"{number:06d}" for number in range(40) if f"{number:06d}" != right]
        late_s = NOW_S + 3_600
        window = {codes.at(late_s + STEP_S * drift) for drift in (-1, 0, 1)}
        return await asyncio.gather(
            *(
                refusal(check_code(pool, ANNA, guess, now_s=late_s))
                for guess in guesses
                if guess not in window
            )
        )

    reasons = run(migrated, scenario)
    assert reasons.count("the code is wrong") == WRONG_CODES_MAX
    assert all("locked" in reason for reason in reasons if reason != "the code is wrong")


def test_a_right_code_forgives_wrong_ones_before_it(migrated: str, tmp_path: Path) -> None:
    async def scenario(pool: Pool) -> None:
        codes = await enroll(pool, tmp_path)
        for number in range(3 * WRONG_CODES_MAX):
            now_s = NOW_S + number * STEP_S
            wrong = f"{(int(codes.at(now_s)) + 1) % 1_000_000:06d}"
            if number % 4 == 3:
                await check_code(pool, ANNA, codes.at(now_s), now_s=now_s)
            elif wrong not in {codes.at(now_s - STEP_S), codes.at(now_s + STEP_S)}:
                assert await refusal(check_code(pool, ANNA, wrong, now_s=now_s))

    run(migrated, scenario)


@pytest.mark.parametrize("code", ["", "12345", "abcdef", "１２３４５６"])
def test_what_is_no_code_is_refused_and_is_no_guess(
    migrated: str, tmp_path: Path, code: str
) -> None:
    async def scenario(pool: Pool) -> None:
        codes = await enroll(pool, tmp_path)
        for _ in range(2 * WRONG_CODES_MAX):
            assert await refusal(check_code(pool, ANNA, code, now_s=NOW_S))
        await check_code(pool, ANNA, codes.at(NOW_S), now_s=NOW_S)

    run(migrated, scenario)


def test_who_has_not_enrolled_is_refused(migrated: str, tmp_path: Path) -> None:
    async def scenario(pool: Pool) -> None:
        await enroll(pool, tmp_path, BERT)
        assert "none is enrolled" in await refusal(check_code(pool, ANNA, "123456", now_s=NOW_S))

    run(migrated, scenario)


def test_a_new_secret_ends_the_old_one_and_keeps_what_is_used_up(
    migrated: str, tmp_path: Path
) -> None:
    async def scenario(pool: Pool) -> None:
        old = await enroll(pool, tmp_path)
        await check_code(pool, ANNA, old.at(NOW_S), now_s=NOW_S)
        new = await enroll(pool, tmp_path)
        assert await refusal(check_code(pool, ANNA, new.at(NOW_S), now_s=NOW_S))
        later_s = NOW_S + STEP_S
        assert await refusal(check_code(pool, ANNA, old.at(later_s), now_s=later_s))
        await check_code(pool, ANNA, new.at(later_s), now_s=later_s)

    run(migrated, scenario)


def test_another_persons_secret_in_ones_own_row_is_refused(migrated: str, tmp_path: Path) -> None:
    async def scenario(pool: Pool) -> str:
        await enroll(pool, tmp_path)
        codes = await enroll(pool, tmp_path, BERT)
        async with connection(pool) as database:
            await database.execute(
                "UPDATE riskgate.second_factor SET secret = (SELECT secret FROM"
                " riskgate.second_factor WHERE uri = %s) WHERE uri = %s",
                [BERT, ANNA],
            )
        with pytest.raises(SealedValueError) as caught:
            await check_code(pool, ANNA, codes.at(NOW_S), now_s=NOW_S)
        return str(caught.value)

    assert "sealed for another place" in run(migrated, scenario)


def test_a_pool_without_keys_refuses(migrated: str, tmp_path: Path) -> None:
    async def scenario(pool: Pool) -> RiskgateError:
        with pytest.raises(BrokenInvariantError) as caught:
            await check_code(pool, ANNA, "123456", now_s=NOW_S)
        return caught.value

    assert run(migrated, scenario).public_message() == "internal error"
