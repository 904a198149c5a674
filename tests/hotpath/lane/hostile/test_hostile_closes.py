"""Connections that come and go in every unfriendly way."""

from collections.abc import Callable

import pytest

from tests.hotpath.lane.hostile.besieged import RAW_REQUEST, Besieged, Neighbour
from tests.hotpath.lane.raw_http2 import RawClient, data, greeting, message, open_call, unary

OK = 0
SHORT, LONG = 2_000, 40_000


def _abruptly(client: RawClient) -> None:
    client.send(greeting(), unary(1, RAW_REQUEST), unary(3, RAW_REQUEST))
    client.close_abruptly()


def _early(client: RawClient) -> None:
    client.end()
    client.close()


def _in_the_middle(client: RawClient) -> None:
    client.send(greeting(), open_call(1, "DecideBatch"), data(1, message(RAW_REQUEST)[:20]))
    client.close()


def _after_the_answer(client: RawClient) -> None:
    client.send(greeting(), unary(1, RAW_REQUEST))
    assert client.answer(1).status == OK
    client.close()


CLOSES: list[Callable[[RawClient], None]] = [_abruptly, _early, _in_the_middle, _after_the_answer]


def _come_and_go(besieged: Besieged, count: int) -> None:
    accepted = besieged.count("connections_accepted")
    refused = besieged.count("connections_refused")
    for number in range(count):
        CLOSES[number % len(CLOSES)](besieged.dial())
    besieged.wait_until(
        lambda: (
            besieged.count("connections_accepted") + besieged.count("connections_refused")
            >= accepted + refused + count
        ),
    )
    assert besieged.count("connections_refused") == refused


def test_connections_when_closed_in_every_way_then_no_slot_and_no_descriptor_is_lost(
    besieged: Besieged,
) -> None:
    _come_and_go(besieged, SHORT)


@pytest.mark.campaign
def test_connections_when_forty_thousand_are_closed_then_nothing_is_lost(
    besieged: Besieged, neighbour: Neighbour
) -> None:
    _come_and_go(besieged, LONG)
