"""Signed and hashed as they should be, and poison all the same: each refused by its own rule.

Nobody but an author who has been robbed, or errs, could release these. The server is this process.
"""

import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.loaders.artifact import verify_artifact
from server.loaders.manifest import ARTIFACT_BYTES_MAX
from server.security.keys import ensure_development_keys
from server.security.trust_set import load_trust_set
from server.security.trusted_key import TrustSet
from server.trust_errors import (
    ArtifactCanaryFailedError,
    ArtifactError,
    ArtifactImplausibleError,
    ArtifactStructureRefusedError,
    ArtifactTooLargeError,
)
from tests.artifact_builder import build_artifact, build_small_model, load_author_key
from tests.onnx_builder import build_model, build_random_trees, build_tree_model
from tests.poison_graphs import GRAPHS, tree_node
from tests.poison_trees import TREES

GROWTH_KIB_MAX: Final = 512 * 1024
GOOD: Final = build_small_model().SerializeToString()
Built = Callable[[], bytes]


def _overflowing() -> bytes:
    attributes = build_random_trees(np.random.default_rng(5), 3, 2, full=True)
    attributes["target_weights"] = [3e38] * len(attributes["target_weights"])
    return build_tree_model(attributes).SerializeToString()


def _of_the_future() -> bytes:
    model = build_model([tree_node()])
    model.ir_version = 1_000
    return model.SerializeToString()


def _upside_down() -> bytes:
    attributes = build_random_trees(np.random.default_rng(5), 3, 2, full=True)
    attributes["target_ids"] = [1 - target for target in attributes["target_ids"]]
    return build_tree_model(attributes).SerializeToString()


def _enormous() -> bytes:
    attributes = build_random_trees(np.random.default_rng(5), 3, 2, full=True)
    attributes["target_weights"] = [weight * 1e6 for weight in attributes["target_weights"]]
    return build_tree_model(attributes).SerializeToString()


# What only running it can show, and what is too large to be looked at.
OTHERS: Final[dict[str, tuple[Built, type[ArtifactError]]]] = {
    "outputs that overflow": (_overflowing, ArtifactCanaryFailedError),
    "a format of the future": (_of_the_future, ArtifactCanaryFailedError),
    "other answers than promised": (
        lambda: build_small_model(99).SerializeToString(),
        ArtifactCanaryFailedError,
    ),
    "quantiles upside down": (_upside_down, ArtifactImplausibleError),
    "enormous answers": (_enormous, ArtifactImplausibleError),
    "too many bytes": (lambda: GOOD + bytes(ARTIFACT_BYTES_MAX), ArtifactTooLargeError),
}
CORPUS: Final = {
    name: (build, ArtifactStructureRefusedError) for name, build in (GRAPHS | TREES).items()
} | OTHERS


@pytest.fixture(scope="module")
def keys_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    ensure_development_keys(folder)
    return folder


@pytest.fixture(scope="module")
def key(keys_dir: Path) -> Ed25519PrivateKey:
    return load_author_key(keys_dir)


@pytest.fixture(scope="module")
def trust(keys_dir: Path) -> TrustSet:
    return load_trust_set(keys_dir)


def count_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def release(key: Ed25519PrivateKey, name: str) -> dict[str, bytes]:
    """Return an artifact with this poison, released as a sound one is."""
    build, error = CORPUS[name]
    can_run = error is ArtifactImplausibleError
    return build_artifact(key, build(), golden_from=None if can_run else GOOD)


def test_the_corpus_has_a_model_for_each_rule() -> None:
    assert len(CORPUS) == len(GRAPHS) + len(TREES) + len(OTHERS) >= 60
    contents = [build() for build, _ in CORPUS.values()]
    assert len(set(contents)) == len(contents)


@pytest.mark.parametrize("name", CORPUS)
def test_poison_is_refused_by_its_own_error(
    key: Ed25519PrivateKey, trust: TrustSet, name: str
) -> None:
    with pytest.raises(ArtifactError) as caught:
        verify_artifact(release(key, name), trust)
    assert type(caught.value) is CORPUS[name][1], caught.value


def test_the_server_is_none_the_worse_for_all_of_it(
    key: Ed25519PrivateKey, trust: TrustSet
) -> None:
    verify_artifact(build_artifact(key, GOOD), trust)
    descriptors, threads = count_descriptors(), threading.active_count()
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times_ms: dict[str, float] = {}
    for name in CORPUS:
        files = release(key, name)
        began_s = time.perf_counter()
        with pytest.raises(ArtifactError):
            verify_artifact(files, trust)
        times_ms[name] = (time.perf_counter() - began_s) * 1_000
    slowest = max(times_ms, key=lambda name: times_ms[name])
    print(f"{len(times_ms)} refused, slowest {times_ms[slowest]:.0f} ms: {slowest}")  # noqa: T201
    assert count_descriptors() == descriptors
    assert threading.active_count() == threads
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < GROWTH_KIB_MAX
    verify_artifact(build_artifact(key, GOOD), trust)
