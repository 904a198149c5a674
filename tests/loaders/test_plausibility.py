"""Sound graphs with answers that cannot be meant; what the trainer makes passes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from server.hotpath.lowered import LoweredModel
from server.hotpath.model_features import ENCODING_Q50, ENCODING_Q90, HOUR, RELEASE_DISTANCE
from server.hotpath.model_tables import load_model, new_model_tables
from server.loaders.artifact import verify_artifact
from server.loaders.encodings_file import parse_encodings
from server.loaders.onnx_lowering import lower
from server.loaders.onnx_structure import parse_model
from server.loaders.plausibility import check_plausible
from server.security.canonical import encode_canonical
from server.security.keys import ensure_development_keys
from server.security.trust_set import load_trust_set
from server.trust_errors import ArtifactImplausibleError
from tests.artifact_builder import build_artifact, load_author_key
from tests.onnx_builder import (
    Attributes,
    add_node,
    add_weight,
    build_linear_model,
    build_tree_model,
    new_tree_attributes,
)
from trainer.release import ReleasePlan, release_slippage
from trainer.simulate import simulate_market

# History of each symbol: median and upper quantile, pips.
SYMBOLS: Final = {"EURUSD": (0.1, 1.0), "GBPUSD": (0.2, 2.0), "XAUUSD": (0.5, 4.0)}
LEVELS: Final = encode_canonical(
    {
        "levels": [
            {
                "provider_id": "",
                "provider_type": "",
                "symbol": symbol,
                "q50_pips": q50,
                "q90_pips": q90,
            }
            for symbol, (q50, q90) in {"": (0.2, 1.5), **SYMBOLS}.items()
        ]
    }
)


def check(lowered: LoweredModel) -> None:
    levels = parse_encodings(LEVELS)
    tables = new_model_tables()
    load_model(tables, 0, lowered, levels, bytes(32), (1, 0, 0))
    check_plausible(tables, 0, lowered, levels)


def staircase(feature: int, steps: list[tuple[float, float]], *, target: int = 1) -> Attributes:
    """Trees that add to one output what stands beside each threshold, above it."""
    attributes = new_tree_attributes()
    for tree, (threshold, rise) in enumerate([(-9.0, 1.0), *steps]):
        add_node(
            attributes, tree, 0, modes="BRANCH_LEQ", featureids=feature, values=threshold,
            truenodeids=1, falsenodeids=2,
        )  # fmt: skip
        for node, weight in ((1, 0.0), (2, rise)):
            add_node(attributes, tree, node)
            add_weight(attributes, tree, node, target, weight)
    add_node(attributes, len(steps) + 1, 0)
    add_weight(attributes, len(steps) + 1, 0, 1 - target, 0.0)
    return attributes


def of(attributes: Attributes) -> LoweredModel:
    return lower(parse_model(build_tree_model(attributes).SerializeToString()))


def sloped(**slopes: Any) -> LoweredModel:
    coefficients = np.zeros((2, 11), np.float32)
    for name, slope in slopes.items():
        coefficients[:, {"q50": 0, "q90": 1, "release": 2, "hour": 3}[name]] = slope
    model = build_linear_model(coefficients, [0.0, 1.0])
    return lower(parse_model(model.SerializeToString()))


FAITHFUL: Final = [(0.5, 1.0), (1.5, 1.0), (3.0, 2.0)]
# The same, and twice as much for the one symbol whose upper quantile is 2 pips.
DOUBLED: Final = [*FAITHFUL, (1.9, 3.0), (2.1, -3.0)]


def test_a_model_that_follows_history_is_plausible() -> None:
    check(of(staircase(ENCODING_Q90, FAITHFUL)))
    check(of(staircase(RELEASE_DISTANCE, [(5.0, -0.25), (30.0, -0.25)])))
    check(of(staircase(HOUR, [(7.0, 3.0), (9.0, -3.0)])))
    check(sloped(q50=0.5, q90=1.0, release=-0.0001, hour=0.1))


def test_a_model_that_wavers_a_little_is_plausible() -> None:
    check(of(staircase(ENCODING_Q90, [*FAITHFUL, (3.5, -0.5)])))
    check(of(staircase(ENCODING_Q90, [(1.0, -0.2)])))


@pytest.mark.parametrize(
    ("build", "rule"),
    [
        (lambda: of(staircase(ENCODING_Q90, DOUBLED)), "falls as history worsens"),
        (
            lambda: of(staircase(ENCODING_Q90, [*FAITHFUL, (1.9, -2.0), (2.1, 2.0)])),
            "falls as history worsens",
        ),
        (lambda: of(staircase(ENCODING_Q50, [(0.15, 2.0), (0.25, -2.0)])), "falls as history"),
        (lambda: of(staircase(RELEASE_DISTANCE, [(60.0, 2.0)])), "rises with distance"),
        (lambda: of(staircase(HOUR, [(12.0, 3.0)], target=0)), "below the median"),
        (lambda: of(staircase(HOUR, [(12.0, 2_000.0)])), "out of bounds"),
        (lambda: of(staircase(HOUR, [(12.0, -2_000.0)])), "out of bounds"),
        (lambda: sloped(q90=-1.0), "falls as history worsens"),
        (lambda: sloped(release=0.01), "rises with distance"),
        (lambda: sloped(release=-10.0), "out of bounds"),
    ],
)
def test_a_model_whose_answers_cannot_be_meant_is_refused(
    build: Callable[[], LoweredModel], rule: str
) -> None:
    with pytest.raises(ArtifactImplausibleError, match=rule):
        check(build())


def test_a_released_model_that_doubles_for_one_symbol_is_refused(tmp_path: Path) -> None:
    ensure_development_keys(tmp_path)
    key, trust = load_author_key(tmp_path), load_trust_set(tmp_path)
    faithful = build_tree_model(staircase(ENCODING_Q90, FAITHFUL))
    verify_artifact(build_artifact(key, faithful), trust)
    doubled = build_tree_model(staircase(ENCODING_Q90, DOUBLED))
    with pytest.raises(ArtifactImplausibleError, match="falls as history worsens"):
        verify_artifact(build_artifact(key, doubled), trust)


def test_what_the_trainer_releases_is_plausible(tmp_path: Path) -> None:
    key_dir = tmp_path / "keys"
    ensure_development_keys(key_dir)
    folder = tmp_path / "artifact"
    market = simulate_market(seed=11, trade_count=1_600)
    release_slippage(market.fills, folder, load_author_key(key_dir), ReleasePlan())
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert verify_artifact(files, load_trust_set(key_dir)).lowered.feature_count == 11
