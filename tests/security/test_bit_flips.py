"""No altered byte of a bundle is accepted: model, manifest, envelopes, approval, trust set.

The trial run in a child process is never reached: what is signed refuses before it.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from server.errors import RiskgateError
from server.statement_errors import StatementError
from server.trust_errors import ArtifactError, TrustSetInvalidError
from tests.attacks.whole_bundle import (
    ACTIVATION,
    TRUST,
    CanaryReachedError,
    WholeBundle,
    large_bundle,
    small_bundle,
    stopping_at_the_canary,
)

SEED = 20_260_304
STRIDE = 97
"""Of the short forms: every bit that this prime reaches."""

FAMILIES: dict[str, type[RiskgateError]] = {
    ACTIVATION: StatementError,
    TRUST: TrustSetInvalidError,
}


@pytest.fixture(autouse=True)
def _no_trial_run() -> Iterator[None]:
    with stopping_at_the_canary():
        yield


def refuse(bundle: WholeBundle, name: str, altered: bytes) -> str:
    """Return what the altered part was refused by; it must be of that part's own family."""
    with pytest.raises(FAMILIES.get(name, ArtifactError)) as caught:
        bundle.judge({name: altered})
    return type(caught.value).__name__


@pytest.mark.parametrize("bundle", [small_bundle, large_bundle])
def test_the_sound_bundle_comes_as_far_as_the_trial_run(
    bundle: Callable[[], WholeBundle],
) -> None:
    with pytest.raises(CanaryReachedError):
        bundle().judge({})


def flip_bits(stride: int) -> Counter[str]:
    bundle, refusals = small_bundle(), Counter[str]()
    for name, content in bundle.parts.items():
        for position in range(0, 8 * len(content), stride):
            altered = bytearray(content)
            altered[position // 8] ^= 1 << (position % 8)
            refusals[f"{name}: {refuse(bundle, name, bytes(altered))}"] += 1
    return refusals


def test_a_flipped_bit_is_refused_by_the_part_that_holds_it() -> None:
    refusals = flip_bits(STRIDE)
    assert {
        "model.onnx: ArtifactHashMismatchError",
        "encodings.json: ArtifactHashMismatchError",
        "manifest.json: ArtifactHashMismatchError",
        "envelope.dsse.json: ArtifactSignatureInvalidError",
        "activation: StatementSignatureError",
        "trust set: TrustSetMalformedError",
    } <= set(refusals)


@pytest.mark.campaign
@pytest.mark.timeout(1_800)
def test_no_single_flipped_bit_is_accepted() -> None:
    refusals = flip_bits(1)
    assert refusals.total() == 8 * sum(map(len, small_bundle().parts.values()))
    print(f"{refusals.total()} flips refused: {dict(refusals.most_common())}")  # noqa: T201


def edit(rng: random.Random, content: bytes, other: bytes) -> bytes:
    """Change some bytes at random: replace, insert, delete, repeat, exchange, clear, cut, graft."""
    begin = rng.randrange(len(content))
    end = min(len(content), begin + rng.choice((1, 1, 2, 4, 16, 256)))
    piece = content[begin:end]
    place = rng.randrange(len(other))
    graft = other[place : place + len(piece)]
    start = rng.randrange(len(content))
    pieces = (
        rng.randbytes(len(piece)),
        rng.randbytes(len(piece)) + piece,
        b"",
        piece + piece,
        piece[::-1],
        bytes(len(piece)),
        graft,
        bytes([piece[0] + rng.choice((1, 255)) & 255]) + piece[1:],
        content[start : start + len(piece)],
    )
    return content[:begin] + rng.choice(pieces) + content[end:]


def edit_parts(count: int) -> Counter[str]:
    rng, bundle, refusals = random.Random(SEED), large_bundle(), Counter[str]()
    names = sorted(bundle.parts)
    while refusals.total() < count:
        name = rng.choice(names)
        altered = edit(rng, bundle.parts[name], bundle.parts[rng.choice(names)])
        if altered != bundle.parts[name]:
            refusals[f"{name}: {refuse(bundle, name, altered)}"] += 1
    return refusals


def test_random_edits_are_refused() -> None:
    assert edit_parts(3_000).total() == 3_000


@pytest.mark.campaign
@pytest.mark.timeout(1_800)
def test_no_random_edit_of_a_hundred_thousand_is_accepted() -> None:
    refusals = edit_parts(100_000)
    print(f"{refusals.total()} edits refused: {dict(refusals.most_common())}")  # noqa: T201


def cut_parts(stride: int) -> Counter[str]:
    bundle, refusals = large_bundle(), Counter[str]()
    for name, content in bundle.parts.items():
        for length in range(0, len(content), stride):
            refusals[f"{name}: {refuse(bundle, name, content[:length])}"] += 1
    return refusals


def test_truncated_parts_are_refused() -> None:
    refusals = cut_parts(STRIDE)
    assert {refusal.partition(":")[0] for refusal in refusals} == set(large_bundle().parts)


@pytest.mark.campaign
@pytest.mark.timeout(3_600)
def test_no_truncation_is_accepted() -> None:
    refusals = cut_parts(1)
    assert refusals.total() == sum(map(len, large_bundle().parts.values()))
    print(f"{refusals.total()} truncations refused: {dict(refusals.most_common())}")  # noqa: T201
