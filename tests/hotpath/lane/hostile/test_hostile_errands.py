"""Calls that Python answers, from clients that are gone when the answer is there."""

from tests.hotpath.lane.hostile.besieged import RAW_REQUEST, Besieged
from tests.hotpath.lane.raw_http2 import DATA, frame, greeting, unary


def test_an_errand_when_its_connection_breaks_meanwhile_then_its_answer_goes_nowhere(
    besieged: Besieged,
) -> None:
    for _ in range(50):
        with besieged.dial() as client:
            # DATA on stream 0 ends the connection, in the same turn that begins the errand.
            client.send(greeting(), unary(1, RAW_REQUEST, "SyncAccount"), frame(DATA, 0, 0, b"x"))
            client.read_to_end()
            assert client.goaway is not None
