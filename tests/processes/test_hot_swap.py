"""Models are swapped every 50 ms through the feed while an engine decides.

Every answer is by one of them, and comes out of the journal again byte for byte.

The long form makes a million decisions. Times are told, never judged.
"""

import os
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from server.engine_start import capacity_in
from server.loaders.activation_change import NO_DIGEST
from server.loaders.model_source import ModelSource
from server.replays.follower import Follower
from server.settings import load_settings
from tests.faults.victim import SETTINGS, Victim, victim_in
from tests.swap_feed import Caller, SwapFeed, swapping

IS_CAMPAIGN: Final = os.environ.get("RISKGATE_CAMPAIGN") == "1"
DECISIONS: Final = 1_000_000 if IS_CAMPAIGN else 20_000
SWAPS_MIN: Final = 1_000 if IS_CAMPAIGN else 40
CALLS: Final = 20_000 if IS_CAMPAIGN else 1_500
ROLLBACKS: Final = 100 if IS_CAMPAIGN else 10
INTERVAL_S: Final = 0.05


@contextmanager
def engine_with_models(data_dir: Path, redis_url: str) -> Iterator[tuple[Victim, SwapFeed, Caller]]:
    """Serve an engine that runs the second of two models and has the first at hand."""
    with victim_in(data_dir, redis_url) as victim:
        source = SwapFeed(data_dir, redis_url)
        victim.serve()
        caller = Caller(victim.address)
        try:
            source.publish(source.sign(1))
            caller.wait_for(lambda answer: answer.model_digest == source.digests[1])
            assert wait_for_metric(victim, "riskgate_models_loaded_total", 2)
            yield victim, source, caller
        finally:
            caller.close()
            source.close()


def test_every_answer_is_by_an_activated_model_and_comes_out_of_the_journal_again(
    tmp_path: Path, redis_url: str
) -> None:
    data_dir = tmp_path / "data"
    with engine_with_models(data_dir, redis_url) as (victim, source, caller):
        steady_ms, steady_us = caller.time_calls(CALLS)
        steady = read_buckets(victim)
        signed = [source.sign(serial) for serial in range(2, 2 + 2 * SWAPS_MIN)]
        with swapping(source, signed, INTERVAL_S) as serials:
            swapped_ms, swapped_us = caller.time_calls(CALLS)
            during = read_buckets(victim)
            while sum(caller.digests.values()) < DECISIONS or len(serials) < SWAPS_MIN:
                caller.decide_many(2_000)
        last = source.digests[serials[-1] % 2]
        caller.wait_for(lambda answer: answer.model_digest == last)
        metrics = read_metrics(victim)
        assert metrics["riskgate_models_loaded_total"] == 2
        # Of several that wait only the newest is switched to.
        switched = metrics["riskgate_models_switched_total"]
        assert 0.9 * len(serials) < switched <= 1 + len(serials)
        assert not [name for name in metrics if name.startswith("riskgate_activations_refused")]
        assert victim.stop() == 0, victim.read_log()
    answers = sum(caller.digests[digest] for digest in source.digests)
    others = set(caller.digests) - set(source.digests) - {b""}
    assert (others, caller.failed) == (set(), 0)
    assert answers >= DECISIONS
    assert min(caller.digests[digest] for digest in source.digests) > answers // 10
    entries, different = replay(data_dir)
    assert different == 0
    assert entries > len(serials)
    engine_us = percentile_us({}, steady), percentile_us(steady, during)
    say(f"{answers} decisions, {len(serials)} swaps, {entries} entries replayed")
    say(f"p99 inside: steady {p99(steady_us):.1f} us, swapping {p99(swapped_us):.1f} us")
    say(f"p99 of a call: steady {p99(steady_ms):.2f} ms, swapping {p99(swapped_ms):.2f} ms")
    say(f"p99 in the engine, at most: steady {engine_us[0]} us, swapping {engine_us[1]} us")


def test_a_rollback_reaches_the_next_decisions_by_one_change(
    tmp_path: Path, redis_url: str
) -> None:
    with engine_with_models(tmp_path / "data", redis_url) as (victim, source, caller):
        times_ms = []
        for serial in range(2, 2 + 2 * ROLLBACKS):
            message, wanted = source.sign(serial), source.digests[serial % 2]
            assert caller.decide().model_digest != wanted
            began_s = time.perf_counter()
            source.publish(message)
            while caller.decide().model_digest != wanted:
                assert time.perf_counter() - began_s < 60
            times_ms.append((time.perf_counter() - began_s) * 1_000)
        assert read_metrics(victim)["riskgate_models_loaded_total"] == 2
        assert NO_DIGEST not in caller.digests
    times_ms.sort()
    half, worst = times_ms[len(times_ms) // 2], times_ms[-1]
    say(f"{len(times_ms)} moves, published to answered: p50 {half:.2f} ms, worst {worst:.2f} ms")


def say(line: str) -> None:
    """Tell a figure: shown with `-rP`."""
    print(line)  # noqa: T201 - figures to read


def replay(data_dir: Path) -> tuple[int, int]:
    """Return how many entries the journal has, and how many came out differently."""
    settings = load_settings(**{**SETTINGS, "data_dir": data_dir})
    follower = Follower(
        data_dir / "journal",
        data_dir / "replayed",
        capacity_in(settings),
        ModelSource(data_dir).find,
        interval_entries=1 << 62,
    )
    while follower.advance(follower.followed_number + 10_000):
        pass
    entries, different = follower.followed_number, follower.difference_count
    follower.close()
    return entries, different


def read_metrics(victim: Victim) -> dict[str, float]:
    address = victim.environment["RISKGATE_METRICS_LISTEN"]
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def wait_for_metric(victim: Victim, name: str, value: float) -> bool:
    deadline = time.monotonic() + 120
    while read_metrics(victim)[name] != value:
        assert time.monotonic() < deadline, (name, read_metrics(victim)[name])
        time.sleep(0.05)
    return True


def read_buckets(victim: Victim) -> dict[float, float]:
    """Return the calls of Decide by the upper bound of their time in the engine, seconds."""
    found = {}
    for name, count in read_metrics(victim).items():
        if name.startswith("riskgate_call_seconds_bucket") and 'method="Decide"' in name:
            found[float(name.split('le="')[1].split('"')[0])] = count
    return found


def p99(times_ms: list[float]) -> float:
    return times_ms[len(times_ms) * 99 // 100]


def percentile_us(before: dict[float, float], after: dict[float, float]) -> float:
    """Return the upper bound of the bucket that 99 of 100 calls between two readings are in."""
    counts = {bound: after[bound] - before.get(bound, 0) for bound in sorted(after)}
    total = max(counts.values())
    return next(bound for bound, count in counts.items() if count >= 0.99 * total) * 1e6
