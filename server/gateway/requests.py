"""Headers, parameters and bodies of HTTP requests, read within bounds.

Nothing is passed over: a parameter, key or condition that would have no effect is refused.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request

from riskgate.v1 import admin_pb2
from server.errors import InvalidFieldError
from server.gateway.answers import REASON_HEADER
from server.gateway.refusals import BodyTooLargeError, MalformedBodyError, MediaTypeError

BODY_BYTES_MAX: Final = 65_536
# Objects and lists inside each other; the contract needs 3, and a breaker's values may be free.
DEPTH_MAX: Final = 16
IF_MATCH: Final = "If-Match"
EXPECTED_VERSION: Final = "expected_version"
LIMIT_MAX: Final = 1_000
VERSION_MAX: Final = 2**63 - 1
_TAG: Final = re.compile(r'"([1-9][0-9]{0,18})"')
_DIGITS: Final = re.compile(r"[0-9]{1,9}")


async def read_object(request: Request) -> dict[str, Any]:
    """Return the JSON object in a body.

    Raises:
        MediaTypeError: It is not declared as JSON, or is compressed.
        BodyTooLargeError: It has more than 64 KiB.
        MalformedBodyError: It is not one JSON document, repeats a key, or nests deeper than 16.
        InvalidFieldError: It is another JSON value.
    """
    kind, _, parameter = request.headers.get("content-type", "").partition(";")
    charset = parameter.replace('"', "").strip().lower()
    if kind.strip().lower() != "application/json" or charset not in {"", "charset=utf-8"}:
        raise MediaTypeError
    if request.headers.get("content-encoding", "identity") != "identity":
        raise MediaTypeError
    content = parse_json(await _read_bytes(request))
    if not isinstance(content, dict):
        raise InvalidFieldError("body", "must be an object")
    return content


def parse_json(raw: bytes) -> Any:
    """Return the value of a JSON document, whose numbers are all finite.

    Raises:
        MalformedBodyError: It is none, repeats a key, or nests deeper than 16.
    """
    try:
        content = json.loads(
            raw.decode(), object_pairs_hook=_read_pairs, parse_constant=_refuse_constant
        )
    except UnicodeDecodeError as error:
        raise MalformedBodyError("not UTF-8") from error
    except json.JSONDecodeError as error:
        raise MalformedBodyError(f"{error.msg} at character {error.pos}") from error
    except ValueError as error:
        raise MalformedBodyError("a number has too many digits") from error
    except RecursionError as error:
        raise MalformedBodyError(f"deeper than {DEPTH_MAX}") from error
    _require_shallow(content)
    return content


def read_query(request: Request, *names: str) -> dict[str, str]:
    """Return the parameters of a query; those that are absent are empty.

    Raises:
        InvalidFieldError: One is unknown, is given twice, or is empty.
    """
    given = request.query_params.multi_items()
    found = dict(given)
    for name, value in found.items():
        if name not in names:
            raise InvalidFieldError(name, "is unknown")
        if [each for each, _ in given].count(name) > 1:
            raise InvalidFieldError(name, "is given twice")
        if not value:
            raise InvalidFieldError(name, "is empty")
    return {name: found.get(name, "") for name in names}


def read_limit(text: str) -> int | None:
    """Return the most rows that are asked for; None: the method decides.

    Raises:
        InvalidFieldError: It is not a number of 1 to 1,000.
    """
    if not text:
        return None
    if not _DIGITS.fullmatch(text) or not 1 <= int(text) <= LIMIT_MAX:
        raise InvalidFieldError("limit", f"must be a whole number of 1 to {LIMIT_MAX}")
    return int(text)


def read_note(request: Request) -> admin_pb2.ChangeNote:
    """Return why a change is made; whether a reason is needed is the contract's business.

    Raises:
        InvalidFieldError: The header is given twice or is not UTF-8.
    """
    given = [value for name, value in request.scope["headers"] if name == b"x-reason"]
    if len(given) > 1:
        raise InvalidFieldError(REASON_HEADER, "is given twice")
    try:
        return admin_pb2.ChangeNote(reason=b"".join(given).decode())
    except UnicodeDecodeError as error:
        raise InvalidFieldError(REASON_HEADER, "is not UTF-8") from error


def take_expected_version(request: Request, content: dict[str, Any]) -> int | None:
    """Take the version that a change expects out of a body, or from If-Match; None: any.

    Raises:
        InvalidFieldError: It is not a version, or both are given and differ.
    """
    inside = content.pop(EXPECTED_VERSION, None)
    if inside is not None and (type(inside) is not int or not 1 <= inside <= VERSION_MAX):
        raise InvalidFieldError(EXPECTED_VERSION, "must be a whole number above 0")
    tag = request.headers.get(IF_MATCH)
    if tag is None:
        return inside
    match = _TAG.fullmatch(tag)
    version = int(match[1]) if match else 0
    if not 1 <= version <= VERSION_MAX:
        raise InvalidFieldError(IF_MATCH, "must be the ETag of an answer")
    if inside not in {None, version}:
        raise InvalidFieldError(EXPECTED_VERSION, f"is not that of {IF_MATCH}")
    return version


def refuse_condition(request: Request) -> None:
    """Do nothing for a request without a condition that its method does not know.

    Raises:
        InvalidFieldError: It has one.
    """
    if IF_MATCH in request.headers:
        raise InvalidFieldError(IF_MATCH, "is not for this method")


async def require_no_body(request: Request) -> None:
    """Do nothing for a request without a body.

    Raises:
        InvalidFieldError: It has one.
        BodyTooLargeError: It is larger than anything that is read.
    """
    if await _read_bytes(request):
        raise InvalidFieldError("body", "is not for this method")


async def _read_bytes(request: Request) -> bytes:
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared[:9]) > BODY_BYTES_MAX:
        raise BodyTooLargeError
    raw = bytearray()
    try:
        async for piece in request.stream():
            raw += piece
            if len(raw) > BODY_BYTES_MAX:
                raise BodyTooLargeError
    except ClientDisconnect as error:
        raise MalformedBodyError("it ends early") from error
    return bytes(raw)


def _read_pairs(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise MalformedBodyError(f"key {name} stands twice")
        found[name] = value
    return found


def _refuse_constant(word: str) -> Any:
    raise MalformedBodyError(f"{word} is no number")


def _require_shallow(content: Any) -> None:
    level = [content]
    for _ in range(DEPTH_MAX):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise MalformedBodyError(f"deeper than {DEPTH_MAX}")
