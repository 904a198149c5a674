"""Decimals to the whole numbers of the engine's rows, exactly or not at all.

All arithmetic is decimal. A value that is not on its grid or leaves its range is refused by name;
nothing is rounded but where a function says so.
"""

from collections.abc import Sequence
from decimal import ROUND_CEILING, Context, Decimal, localcontext
from typing import Any, Final

import numpy as np

from server.errors import InvalidFieldError
from server.hotpath import layout

ARITHMETIC: Final = Context(prec=60)
_INT64_MAX: Final = 2**63 - 1


def encode_rows(dtype: np.dtype[np.void], records: Sequence[dict[str, Any]]) -> bytes:
    """Return rows of a dtype, each filled from a record; columns not named are 0."""
    table = np.zeros(len(records), dtype=dtype)
    for row, record in enumerate(records):
        for column, value in record.items():
            table[column][row] = value
    return table.tobytes()


def encode_texts(
    texts: Sequence[str], count_max: int, text_words: int, field: str
) -> np.ndarray[Any, Any]:
    """Return texts side by side in `text_words` words each.

    Raises:
        InvalidFieldError: There are more than `count_max`.
    """
    if len(texts) > count_max:
        raise InvalidFieldError(field, "has too many entries")
    packed = np.zeros((count_max, text_words), dtype="<i8")
    for position, text in enumerate(texts):
        packed[position] = layout.words(text, text_words)
    return packed.reshape(-1)


def ppm(entity: object, attribute: str) -> int:
    """Return a ratio as ppm, or points as micropoints; None is NOT_SET."""
    value: Decimal | None = getattr(entity, attribute)
    return layout.NOT_SET if value is None else scaled(value, layout.PPM, attribute)


def limit(entity: object, attribute: str, scale: int) -> int:
    """Return a limit above 0 times `scale`; None, which is no limit, is 0."""
    value: Decimal | int | None = getattr(entity, attribute)
    return 0 if value is None else scaled(Decimal(value), scale, attribute, low=1)


def scaled(value: Decimal, scale: int, field: str, *, low: int = 0) -> int:
    """Return a value times `scale`, which must be whole and between `low` and 2^63 - 1.

    Raises:
        InvalidFieldError: It is not.
    """
    with localcontext(ARITHMETIC):
        found = value * scale
        if found != found.to_integral_value():
            raise InvalidFieldError(field, "has too many decimals")
        return _bounded(int(found), field, low)


def scaled_up(value: Decimal, scale: int, field: str) -> int:
    """Return a value times `scale`, rounded up.

    Raises:
        InvalidFieldError: It is not between 1 and 2^63 - 1.
    """
    with localcontext(ARITHMETIC):
        whole = (value * scale).to_integral_value(rounding=ROUND_CEILING)
        return _bounded(int(whole), field, 1)


def multiple(value: Decimal, step: Decimal, field: str, step_field: str) -> int:
    """Return how many steps a value has.

    Raises:
        InvalidFieldError: Not a whole number of them, at least one.
    """
    count = value / step
    if count != count.to_integral_value() or count < 1:
        raise InvalidFieldError(field, f"must be a whole number of {step_field}")
    return int(count)


def split_decimal(value: Decimal, field: str, mantissa_max: int, scale_max: int) -> tuple[int, int]:
    """Split a positive decimal into mantissa and power of ten.

    Raises:
        InvalidFieldError: One of them is above its bound.
    """
    if value <= 0:
        raise InvalidFieldError(field, "must be positive")
    exponent = value.normalize().as_tuple().exponent
    scale = 10 ** max(0, -int(exponent))
    mantissa = int(value * scale)
    if scale > scale_max or mantissa > mantissa_max:
        raise InvalidFieldError(field, "has too many digits")
    return mantissa, scale


def _bounded(value: int, field: str, low: int) -> int:
    if not low <= value <= _INT64_MAX:
        raise InvalidFieldError(field, "is out of range")
    return value
