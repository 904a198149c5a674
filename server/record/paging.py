"""Pages of a list: an opaque token holds the key of the last row.

The next page starts behind that key, so rows that are written meanwhile shift nothing.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Final

from server.errors import InvalidFieldError

PAGE_SIZE_DEFAULT: Final = 100
PAGE_SIZE_MAX: Final = 1_000


def page_size(asked: int) -> int:
    """Return the rows of a page; 0 stands for the default.

    Raises:
        InvalidFieldError: more than the maximum was asked for.
    """
    if asked > PAGE_SIZE_MAX:
        raise InvalidFieldError("page_size", f"must be at most {PAGE_SIZE_MAX}")
    return asked or PAGE_SIZE_DEFAULT


def encode_token(key: Sequence[str]) -> str:
    """Return the token of the page after the row with this key."""
    return base64.urlsafe_b64encode(json.dumps(list(key)).encode()).decode().rstrip("=")


def decode_token(token: str, parts: int) -> list[str] | None:
    """Return the key of the last row seen, or None for the first page.

    Raises:
        InvalidFieldError: this is not a token of such a list.
    """
    if not token:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, binascii.Error) as error:
        raise InvalidFieldError("page_token", "is not a token of this list") from error
    if (
        not isinstance(key, list)
        or len(key) != parts
        or not all(isinstance(part, str) and "\0" not in part for part in key)
    ):
        raise InvalidFieldError("page_token", "is not a token of this list")
    return key
