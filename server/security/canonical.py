"""Canonical JSON: the one byte form in which signed documents are written.

UTF-8, sorted keys, no white space, shortest float form. A document that was signed is accepted only
when it equals its own canonical form, so there is exactly one spelling of each content and no room
for duplicate keys.
"""

import json
from typing import Any, NoReturn


def encode_canonical(value: object) -> bytes:
    """Return the canonical bytes of a JSON value.

    Raises:
        ValueError: The value holds NaN, infinity or a text that is not Unicode.
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def decode_canonical(raw: bytes) -> Any:
    """Return the JSON value of bytes that are in canonical form.

    Raises:
        ValueError: Not JSON, not finite, nested too deeply, or not the canonical form of its
            content.
    """
    try:
        value = json.loads(raw.decode(), parse_constant=_refuse_constant)
        same = encode_canonical(value) == raw
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not same:
        raise ValueError("not in canonical form")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
