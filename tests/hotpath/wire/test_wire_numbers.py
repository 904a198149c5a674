"""Whole numbers become the doubles that Python gives; field numbers are those of the contract."""

import random
from pathlib import Path
from typing import Final

from protos import number_fields
from server.hotpath.wire import fields
from server.hotpath.wire.numbers import nearest_nb

SEED: Final = 7
_EDGES: Final = (0, 1, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**62, 2**63 - 1, -(2**63))


def _draw(rng: random.Random) -> int:
    if rng.random() < 0.2:
        return rng.choice(_EDGES)
    return rng.getrandbits(rng.randint(1, 63)) * rng.choice((1, -1))


def test_a_quotient_is_rounded_once_like_the_division_of_whole_numbers() -> None:
    rng = random.Random(SEED)
    for _ in range(100_000):
        a, b = _draw(rng), rng.choice((0, _draw(rng)))
        factor, divisor = rng.choice((1, rng.randint(1, 10**6))), 10 ** rng.randint(0, 8)
        assert nearest_nb(a, b, factor, divisor) == (a - b) * factor / divisor, (a, b, factor)


def test_the_field_numbers_are_those_of_the_contract(tmp_path: Path) -> None:
    number_fields.main(tmp_path / "fields.py")
    assert Path(fields.__file__).read_text() == (tmp_path / "fields.py").read_text()
