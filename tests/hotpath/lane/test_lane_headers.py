"""Reading of request headers, writing of grpc-message: each against its rule, byte by byte."""

import random
import string
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pytest

from server.hotpath.jit import routine
from server.hotpath.lane.header_pairs import percent_encode_nb
from server.hotpath.lane.headers import PATHS, find_method_nb, is_grpc_nb, read_timeout_ns_nb
from server.hotpath.lane.pool import FAIR_MIN, FAIR_SHARE, may_take_nb
from server.hotpath.lane.structs import METHOD_UNKNOWN, METHODS

UNITS_NS = {
    "H": 3_600_000_000_000, "M": 60_000_000_000, "S": 1_000_000_000,
    "m": 1_000_000, "u": 1_000, "n": 1,
}  # fmt: skip
# A century is no deadline: more hours than this are cut.
HOURS_MAX = 1_000_000


def call(function: Any, text: str | bytes) -> int:
    """Call a kernel with the address and the length of a text; what stands behind it is hostile."""
    raw = text.encode() if isinstance(text, str) else text
    memory = np.frombuffer(raw + b"9S0n/grpc", np.uint8)
    return int(function(memory.ctypes.data, len(raw)))


@routine
def _is_grpc_nb(address: int, length: int) -> bool:
    return is_grpc_nb(address, length)


@pytest.mark.parametrize("unit", UNITS_NS)
@pytest.mark.parametrize("number", [0, 1, 9, 10, 99_999_999, 12_345_678])
def test_a_timeout_is_its_number_times_its_unit(unit: str, number: int) -> None:
    expected = min(number, HOURS_MAX) if unit == "H" else number
    assert call(read_timeout_ns_nb, f"{number}{unit}") == expected * UNITS_NS[unit]
    assert call(read_timeout_ns_nb, f"{number:08}{unit}") == expected * UNITS_NS[unit]


@pytest.mark.parametrize(
    "text",
    ["", "1", "n", "S", "123456789n", "1s", "1h", "1N", "1.5S", "-1S", "+1S", " 1S", "1 S", "1S ",
     "1Sn", "0x1S", "١S", "1\0", "\0S", "99999999", "1ns", "1_0S"],
)  # fmt: skip
def test_a_timeout_that_breaks_the_rule_is_malformed(text: str) -> None:
    assert call(read_timeout_ns_nb, text) == -1


def test_a_timeout_of_any_bytes_is_read_as_the_rule_says() -> None:
    rng = random.Random(11)
    alphabet = "0123456789" * 3 + "".join(UNITS_NS) * 2 + " -.:/;sxh"
    for _ in range(20_000):
        text = "".join(rng.choices(alphabet, k=rng.randint(0, 11)))
        digits, unit = text[:-1], text[-1:]
        good = unit in UNITS_NS and 1 <= len(digits) <= 8 and digits.isdecimal()
        number = min(int(digits), HOURS_MAX) if good and unit == "H" else int(digits) if good else 0
        expected = number * UNITS_NS[unit] if good else -1
        assert call(read_timeout_ns_nb, text) == expected, text


def test_each_path_is_its_own_method_and_no_other_is_one() -> None:
    assert [call(find_method_nb, path) for path in PATHS] == list(range(1, METHODS))
    for path in PATHS:
        for other in (path[:-1], path + b"x", path.lower(), b"/" + path, path.replace(b"/", b"//"),
                      path[:-1] + b"\0"):  # fmt: skip
            assert call(find_method_nb, other) == METHOD_UNKNOWN, other
    assert call(find_method_nb, b"") == METHOD_UNKNOWN
    assert call(find_method_nb, b"/" * 10_000) == METHOD_UNKNOWN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("application/grpc", True),
        ("application/grpc+proto", True),
        ("application/grpc;charset=utf-8", True),
        ("application/grpc+proto;x=y", True),
        ("application/grpc+json", False),
        ("application/grpc+", False),
        ("application/grpcx", False),
        ("application/grpc-web", False),
        ("application/json", False),
        ("application/grp", False),
        ("", False),
    ],
)
def test_a_content_type_is_grpc_or_it_is_not(text: str, expected: bool) -> None:
    assert bool(call(_is_grpc_nb, text)) == expected


def encode(text: bytes, room: int = 512) -> bytes:
    source = np.frombuffer(text + b"\0", np.uint8)
    target = np.full(room + 64, 0x7E, np.uint8)
    written = percent_encode_nb(source.ctypes.data, len(text), target.ctypes.data, room)
    assert (target[written:] == 0x7E).all(), "nothing behind the end is touched"
    assert written <= room
    return target[:written].tobytes()


def test_a_message_is_encoded_as_grpc_says() -> None:
    # Space to tilde stand for themselves, but for the percent sign.
    unchanged = string.printable[:95].replace("%", "")
    rng = random.Random(12)
    for length in [*range(120), 160]:
        for text in (bytes(length), b"\xff" * length, rng.randbytes(length), b"%" * length):
            expected = "".join(
                chr(byte) if chr(byte) in unchanged else f"%{byte:02X}" for byte in text
            )
            assert encode(text) == expected.encode()
    assert unquote(encode("für 100 % – ein Ärgernis\n".encode()).decode()) == (
        "für 100 % – ein Ärgernis\n"
    )
    assert encode("ü".encode()).decode() == quote("ü")


@pytest.mark.parametrize("room", [0, 2, 3, 7, 512])
def test_a_message_that_is_too_long_is_cut_before_a_whole_sign(room: int) -> None:
    for text in (b"a" * 600, b"\n" * 600, b"ab\n" * 200):
        cut = encode(text, room)
        assert text.startswith(bytes(unquote(cut.decode()), "latin-1"))
        assert len(cut) >= room - 5 or room < 3


def test_a_hoarder_cannot_keep_a_newcomer_from_having_one() -> None:
    """Peers take turns until nobody may take more; what is free then is enough for others."""
    for capacity in (1, 4, 8, 64, 512, 8_192):
        held = [0] * 12
        taken = True
        while taken:
            taken = False
            for peer in range(12):
                if may_take_nb(held[peer], capacity - sum(held)):
                    held[peer] += 1
                    taken = True
        free = capacity - sum(held)
        assert max(held) - min(held) <= 1
        if capacity > 12 * FAIR_SHARE:
            assert free >= max(held), "a newcomer may take what each of them has"
            assert all(may_take_nb(number, free) for number in range(max(held)))
        assert not may_take_nb(0, 0)
        assert bool(may_take_nb(FAIR_MIN - 1, 1))
