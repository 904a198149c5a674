"""What Redis may hold instead of a change, and that none of it is taken for one."""

import pytest

from riskgate.v1 import state_pb2
from server.changes import state_change
from server.loaders.feed_entry import MalformedEntryError, read_entry, read_number
from tests.feed_harness import malformed, rate_rows


def test_read_entry_when_whole_then_bytes_and_message_are_kept() -> None:
    kind = state_pb2.CHANGE_KIND_CONVERSION_RATE
    change = state_change(kind, "EUR/USD", rate_rows(), version=3).SerializeToString()
    entry = read_entry(change)
    assert entry.change == change
    assert (entry.message.version, entry.message.key) == (3, "EUR/USD")
    deleted = state_change(kind, "EUR/USD", b"").SerializeToString()
    assert read_entry(deleted).message.rows == b""


@pytest.mark.parametrize("name", malformed())
def test_read_entry_when_malformed_then_it_is_refused(name: str) -> None:
    with pytest.raises(MalformedEntryError):
        read_entry(malformed()[name])


def test_read_number_when_text_is_no_small_number_then_none() -> None:
    assert read_number(b"0") == 0
    assert read_number(b"9223372036854775807") == 2**63 - 1
    for text in (None, b"", b"-1", b"1.0", b"9223372036854775808", b"9" * 100, "١".encode(), b" 1"):
        assert read_number(text) is None
