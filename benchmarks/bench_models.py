"""Model evaluation: nanoseconds per call of `evaluate_nb` and `lookup_encoding_nb`.

Measured inside one compiled loop over random inputs that change with every call, so neither the
branch predictor nor the cache may learn the answer; the last outputs are compared with the slow
twin, so the work was done. What misleads: a loop keeps the model's nodes in the cache, which a busy
engine shares with its other tables.
"""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from server.hotpath.jit import kernel
from server.hotpath.lowered import EncodingLevel, LoweredLinear, LoweredModel
from server.hotpath.models import (
    ModelTables,
    evaluate_nb,
    load_model,
    lookup_encoding_nb,
    new_model_tables,
    pack_text,
)
from server.loaders.onnx_lowering import lower
from tests import model_reference
from tests.onnx_builder import FEATURE_COUNT, build_random_trees, build_tree_model

SEED = 20_260_304
ROUNDS = 7
CALLS = 200_000
ROWS = 8_192
PROVIDERS = 10_000
SYMBOLS = 40


@kernel
def _evaluate_loop_nb(
    tables: ModelTables, rows: NDArray[np.float32], calls: int, outputs: NDArray[np.float64]
) -> None:
    for call in range(calls):
        row = call % len(rows)
        evaluate_nb(tables, 0, rows[row], outputs[row])


@kernel
def _lookup_loop_nb(
    tables: ModelTables,
    providers: NDArray[np.int64],
    symbols: NDArray[np.int64],
    keys: NDArray[np.int64],
    calls: int,
    outputs: NDArray[np.float32],
) -> None:
    for call in range(calls):
        row = call % len(keys)
        provider, symbol = keys[row]
        lookup_encoding_nb(tables, 0, providers[provider], 1, symbols[symbol], outputs[row])


def _report(name: str, run: Callable[[int], None]) -> None:
    run(1_000)
    figures = []
    for _round in range(ROUNDS):
        started_ns = time.perf_counter_ns()
        run(CALLS)
        figures.append((time.perf_counter_ns() - started_ns) / CALLS)
    figures.sort()
    print(f"{name:<44} median {figures[ROUNDS // 2]:7.0f} ns   best {figures[0]:7.0f} ns")


def bench_evaluation(name: str, lowered: LoweredModel, rng: np.random.Generator) -> None:
    """Measure one model and check its answers against the twin."""
    tables = new_model_tables()
    levels = (EncodingLevel("", 0, "", 0.0, 0.0),)
    load_model(tables, 0, lowered, levels, bytes(32), (1, 0, 0))
    rows = rng.normal(scale=3, size=(ROWS, FEATURE_COUNT)).astype(np.float32)
    outputs = np.empty((ROWS, 2))
    _report(name, lambda calls: _evaluate_loop_nb(tables, rows, calls, outputs))
    for row in rng.integers(ROWS, size=200):
        assert tuple(outputs[row]) == model_reference.evaluate(lowered, rows[row])


def bench_lookup(rng: np.random.Generator) -> None:
    """Measure encodings with keys of which about half have a level of their own."""
    provider_ids = [f"channel_{number}" for number in range(PROVIDERS)]
    symbol_ids = [f"SYM{number}" for number in range(SYMBOLS)]
    levels = [EncodingLevel("", 0, "", 0.25, 1.0)]
    levels += [EncodingLevel("", 0, symbol, 1.0, 2.0) for symbol in symbol_ids]
    levels += [EncodingLevel(provider, 1, "", 3.0, 4.0) for provider in provider_ids[::2]]
    pairs = rng.choice(PROVIDERS * SYMBOLS, 40_000, replace=False)
    levels += [
        EncodingLevel(provider_ids[pair // SYMBOLS], 1, symbol_ids[pair % SYMBOLS], 5.0, pair)
        for pair in pairs
    ]
    tables = new_model_tables()
    linear = LoweredLinear(
        1, np.zeros(1, np.float32), np.ones(1, np.float32), np.ones((2, 1), np.float32), np.zeros(2)
    )
    load_model(tables, 0, linear, tuple(levels), bytes(32), (1, 0, 0))
    providers = np.array([pack_text(provider, 8) for provider in provider_ids])
    symbols = np.array([pack_text(symbol, 4) for symbol in symbol_ids])
    keys = np.stack([rng.integers(PROVIDERS, size=ROWS), rng.integers(SYMBOLS, size=ROWS)], axis=1)
    known = pairs[: ROWS // 2]
    keys[::2] = np.stack([known // SYMBOLS, known % SYMBOLS], axis=1)
    outputs = np.empty((ROWS, 2), np.float32)
    _report(
        f"encoding lookup, {len(levels)} levels",
        lambda calls: _lookup_loop_nb(tables, providers, symbols, keys, calls, outputs),
    )
    for row in rng.integers(ROWS, size=20):
        expected = model_reference.lookup_encoding(
            levels, provider_ids[keys[row, 0]], 1, symbol_ids[keys[row, 1]]
        )
        assert tuple(map(float, outputs[row])) == expected


def main() -> None:
    """Print one line per measurement."""
    rng = np.random.default_rng(SEED)
    print(f"seed {SEED}, {ROUNDS} rounds of {CALLS} calls")
    for tree_count, depth in ((100, 6), (200, 6), (100, 8), (30, 11)):
        attributes = build_random_trees(rng, tree_count, depth, full=True)
        name = f"{tree_count} trees of depth {depth}"
        bench_evaluation(name, lower(build_tree_model(attributes), FEATURE_COUNT), rng)
    linear = LoweredLinear(
        FEATURE_COUNT,
        rng.normal(size=FEATURE_COUNT).astype(np.float32),
        rng.normal(size=FEATURE_COUNT).astype(np.float32),
        rng.normal(size=(2, FEATURE_COUNT)).astype(np.float32),
        rng.normal(size=2),
    )
    bench_evaluation("linear, 11 features", linear, rng)
    bench_lookup(rng)


if __name__ == "__main__":
    main()
