"""The model kernels against their slow twin, and the memory that they read."""

import numpy as np
import pytest

from server.hotpath.lowered import EncodingLevel, LoweredLinear, LoweredModel
from server.hotpath.model_tables import DEPTH_POINTERS, ENCODING_LEVELS_MAX, ModelTables
from server.hotpath.models import (
    KIND_LINEAR,
    KIND_NONE,
    KIND_TREES,
    LEVEL_GLOBAL,
    LEVEL_NONE,
    LEVEL_PROVIDER,
    LEVEL_PROVIDER_SYMBOL,
    LEVEL_SYMBOL,
    MODEL_SLOTS,
    NO_MODEL_SLOT,
    evaluate_nb,
    evaluate_rows_nb,
    load_model,
    lookup_encoding_nb,
    new_model_tables,
    pack_text,
)
from server.loaders.onnx_lowering import lower
from server.loaders.probe_rows import build_probe_rows
from tests import model_reference
from tests.onnx_builder import (
    FEATURE_COUNT,
    add_node,
    add_weight,
    build_random_trees,
    build_tree_model,
    new_tree_attributes,
)

SEED = 20_260_301
GLOBAL = EncodingLevel("", 0, "", 0.25, 1.5)
DIGEST = bytes(range(32))
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE")


@pytest.fixture(scope="module")
def tables() -> ModelTables:
    return new_model_tables()


def _load(tables: ModelTables, lowered: LoweredModel, slot: int = 0) -> None:
    load_model(tables, slot, lowered, (GLOBAL,), DIGEST, (1, 2, 3))


def _compare(tables: ModelTables, lowered: LoweredModel, rows: np.ndarray) -> None:
    _load(tables, lowered)
    outputs = np.empty((len(rows), 2))
    assert evaluate_rows_nb(tables, 0, rows, outputs) == len(rows)
    for row, output in zip(rows, outputs, strict=True):
        assert model_reference.evaluate(lowered, row) == tuple(output)


def _random_linear(rng: np.random.Generator) -> LoweredLinear:
    return LoweredLinear(
        feature_count=FEATURE_COUNT,
        offsets=rng.normal(size=FEATURE_COUNT).astype(np.float32),
        scales=rng.normal(size=FEATURE_COUNT).astype(np.float32),
        coefficients=rng.normal(size=(2, FEATURE_COUNT)).astype(np.float32),
        intercepts=rng.normal(size=2),
    )


@pytest.mark.parametrize(
    ("tree_count", "depth", "full"),
    [(1, 0, True), (1, 1, True), (3, 4, False), (100, 6, True), (17, 8, False), (5, 11, False)],
)
def test_evaluate_when_trees_then_equals_twin_bit_for_bit(
    tables: ModelTables, tree_count: int, depth: int, full: bool
) -> None:
    rng = np.random.default_rng([SEED, tree_count, depth])
    attributes = build_random_trees(
        rng, tree_count, depth, full=full, modes=MODES, targets=((0,), (1,), (0, 1))
    )
    lowered = lower(build_tree_model(attributes))
    rows = np.concatenate(
        [
            build_probe_rows(lowered)[:250],
            rng.normal(scale=3, size=(250, FEATURE_COUNT)).astype(np.float32),
        ]
    )
    _compare(tables, lowered, rows)
    assert (tables.slots[0]["depth"] == DEPTH_POINTERS) == (depth > 8)


def test_evaluate_when_average_and_base_then_equals_twin(tables: ModelTables) -> None:
    attributes = build_random_trees(np.random.default_rng(SEED), 7, 3)
    attributes |= {"aggregate_function": "AVERAGE", "base_values": [0.1, -0.7]}
    lowered = lower(build_tree_model(attributes))
    _compare(tables, lowered, build_probe_rows(lowered)[:200])


def test_evaluate_when_linear_then_equals_twin_bit_for_bit(tables: ModelTables) -> None:
    rng = np.random.default_rng(SEED)
    for _model in range(20):
        rows = rng.normal(scale=100, size=(50, FEATURE_COUNT)).astype(np.float32)
        _compare(tables, _random_linear(rng), rows)


def test_evaluate_when_chain_is_deep_then_child_indices_are_walked(tables: ModelTables) -> None:
    attributes, depth = new_tree_attributes(), 40
    for level in range(depth):
        node = 2 * level
        add_node(
            attributes, 0, node, values=float(level), modes="BRANCH_LEQ",
            truenodeids=node + 1, falsenodeids=node + 2,
        )  # fmt: skip
        add_node(attributes, 0, node + 1)
        add_weight(attributes, 0, node + 1, 0, float(level))
    add_node(attributes, 0, 2 * depth)
    add_weight(attributes, 0, 2 * depth, 0, float(depth))
    _load(tables, lower(build_tree_model(attributes)))
    out = np.empty(2)
    for level in range(depth + 1):
        features = np.full(FEATURE_COUNT, level - 0.5, np.float32)
        assert evaluate_nb(tables, 0, features, out)
        assert out[0] == level


def test_evaluate_when_a_model_replaces_a_larger_one_then_nothing_is_left(
    tables: ModelTables,
) -> None:
    rng = np.random.default_rng(SEED)
    for tree_count, depth in ((50, 6), (2, 1), (3, 10), (4, 2)):
        lowered = lower(build_tree_model(build_random_trees(rng, tree_count, depth)))
        _compare(tables, lowered, rng.normal(size=(50, FEATURE_COUNT)).astype(np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [0, 5, FEATURE_COUNT - 1])
def test_evaluate_when_a_feature_is_not_finite_then_refuses(
    tables: ModelTables, bad: float, position: int
) -> None:
    _load(tables, _random_linear(np.random.default_rng(SEED)))
    features = np.zeros(FEATURE_COUNT, np.float32)
    features[position] = bad
    out = np.zeros(2)
    assert not evaluate_nb(tables, 0, features, out)
    assert np.isnan(out).all()
    assert model_reference.evaluate(_random_linear(np.random.default_rng(SEED)), features) is None


def test_evaluate_when_output_overflows_then_refuses(tables: ModelTables) -> None:
    huge = np.full(FEATURE_COUNT, 3e38, np.float32)
    lowered = LoweredLinear(
        FEATURE_COUNT, -huge, huge, np.ones((2, FEATURE_COUNT), np.float32), np.zeros(2)
    )
    _load(tables, lowered)
    out = np.zeros(2)
    assert not evaluate_nb(tables, 0, huge, out)
    assert np.isnan(out).all()


@pytest.mark.parametrize("slot", [NO_MODEL_SLOT, MODEL_SLOTS, MODEL_SLOTS - 1, -(2**60)])
def test_evaluate_when_there_is_no_model_then_refuses(slot: int) -> None:
    out = np.zeros(2)
    features = np.zeros(FEATURE_COUNT, np.float32)
    assert not evaluate_nb(new_model_tables(), slot, features, out)
    assert np.isnan(out).all()


def test_evaluate_when_features_are_too_few_then_refuses(tables: ModelTables) -> None:
    _load(tables, _random_linear(np.random.default_rng(SEED)))
    assert not evaluate_nb(tables, 0, np.zeros(FEATURE_COUNT - 1, np.float32), np.zeros(2))


def test_load_when_slot_is_spare_then_other_slots_keep_their_model() -> None:
    tables, rng = new_model_tables(), np.random.default_rng(SEED)
    models = [lower(build_tree_model(build_random_trees(rng, 9, 5))) for _ in range(MODEL_SLOTS)]
    features = rng.normal(size=FEATURE_COUNT).astype(np.float32)
    for slot, lowered in enumerate(models):
        _load(tables, lowered, slot)
    out = np.empty(2)
    for slot, lowered in enumerate(models):
        assert evaluate_nb(tables, slot, features, out)
        assert tuple(out) == model_reference.evaluate(lowered, features)


def test_load_when_done_then_slot_names_the_model(tables: ModelTables) -> None:
    _load(tables, lower(build_tree_model(build_random_trees(np.random.default_rng(1), 5, 3))))
    record = tables.slots[0]
    assert record["kind"] == KIND_TREES
    assert record["digest"].tobytes() == DIGEST
    assert tuple(record["version"]) == (1, 2, 3)
    assert (record["tree_count"], record["depth"], record["level_count"]) == (5, 3, 1)
    _load(tables, _random_linear(np.random.default_rng(1)))
    assert tables.slots[0]["kind"] == KIND_LINEAR


@pytest.mark.parametrize(
    ("encodings", "digest"),
    [
        ((), DIGEST),
        ((GLOBAL, GLOBAL), DIGEST),
        ((GLOBAL,) * (ENCODING_LEVELS_MAX + 1), DIGEST),
        ((EncodingLevel("x" * 65, 1, "", 0, 0),), DIGEST),
        ((EncodingLevel("a\0", 1, "", 0, 0),), DIGEST),
        ((GLOBAL,), DIGEST[:31]),
    ],
)
def test_load_when_model_does_not_fit_then_slot_is_empty(
    encodings: tuple[EncodingLevel, ...], digest: bytes
) -> None:
    tables, lowered = new_model_tables(), _random_linear(np.random.default_rng(SEED))
    _load(tables, lowered, 1)
    with pytest.raises(ValueError, match=r"."):
        load_model(tables, 1, lowered, encodings, digest, (1, 0, 0))
    assert tables.slots[1]["kind"] == KIND_NONE
    with pytest.raises(ValueError, match="slot"):
        _load(tables, lowered, MODEL_SLOTS)


def _lookup(
    tables: ModelTables, provider_id: str, provider_type: int, symbol: str
) -> tuple[int, tuple[float, float]]:
    out = np.full(2, np.nan, np.float32)
    words = pack_text(provider_id, 8), pack_text(symbol, 4)
    level = lookup_encoding_nb(tables, 0, words[0], provider_type, words[1], out)
    return level, (float(out[0]), float(out[1]))


def test_lookup_when_levels_overlap_then_most_specific_wins(tables: ModelTables) -> None:
    levels = (
        GLOBAL,
        EncodingLevel("alpha", 1, "EURUSD", 1, 2),
        EncodingLevel("alpha", 1, "", 3, 4),
        EncodingLevel("", 0, "EURUSD", 5, 6),
    )
    load_model(tables, 0, _random_linear(np.random.default_rng(1)), levels, DIGEST, (1, 0, 0))
    assert _lookup(tables, "alpha", 1, "EURUSD") == (LEVEL_PROVIDER_SYMBOL, (1, 2))
    assert _lookup(tables, "alpha", 1, "GBPUSD") == (LEVEL_PROVIDER, (3, 4))
    assert _lookup(tables, "alpha", 2, "EURUSD") == (LEVEL_SYMBOL, (5, 6))
    assert _lookup(tables, "beta", 1, "GBPUSD") == (LEVEL_GLOBAL, (0.25, 1.5))


def test_lookup_when_keys_are_random_then_equals_twin(tables: ModelTables) -> None:
    rng = np.random.default_rng(SEED)
    providers = [f"{'p' * (index % 60)}{index}" for index in range(120)]
    symbols = [f"S{index}" * (1 + index % 5) for index in range(60)]
    keys = {
        (str(rng.choice(providers)), int(rng.integers(1, 3)), str(rng.choice([*symbols, ""])))
        for _ in range(3_000)
    } | {("", 0, symbol) for symbol in [*symbols[:30], ""]}
    levels = tuple(EncodingLevel(*key, *rng.normal(size=2)) for key in sorted(keys))
    load_model(tables, 0, _random_linear(rng), levels, DIGEST, (1, 0, 0))
    for _ in range(2_000):
        key = (str(rng.choice(providers)), int(rng.integers(1, 3)), str(rng.choice(symbols)))
        assert _lookup(tables, *key)[1] == model_reference.lookup_encoding(levels, *key)
    unknown = ("nobody", 1, "NOTHING")
    assert _lookup(tables, *unknown)[1] == model_reference.lookup_encoding(levels, *unknown)


def test_lookup_when_table_is_full_then_probes_stay_bounded(tables: ModelTables) -> None:
    levels = (
        GLOBAL,
        *(EncodingLevel(f"provider-{n}", 1, "EURUSD", n, 0) for n in range(1, ENCODING_LEVELS_MAX)),
    )
    load_model(tables, 0, _random_linear(np.random.default_rng(1)), levels, DIGEST, (1, 0, 0))
    assert tables.slots[0]["probe_max"] < 64
    for number in (1, 77, ENCODING_LEVELS_MAX - 1):
        assert _lookup(tables, f"provider-{number}", 1, "EURUSD")[1] == (number, 0)


def test_lookup_when_slot_is_empty_then_nothing_is_found() -> None:
    assert (
        lookup_encoding_nb(
            new_model_tables(), 0, pack_text("a", 8), 1, pack_text("b", 4), np.zeros(2, np.float32)
        )
        == LEVEL_NONE
    )
