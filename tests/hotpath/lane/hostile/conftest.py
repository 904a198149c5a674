"""One lane for each module of attacks, and a neighbour who is served during each of them."""

from collections.abc import Iterator

import pytest

from server.hotpath.lane.memory import LaneBounds
from tests.hotpath.lane.hostile.besieged import Besieged, Neighbour, under_siege

REQUEST_MS = 300


@pytest.fixture(scope="module")
def bounds(request: pytest.FixtureRequest) -> LaneBounds:
    """What the lane may use; a module may name its own as BOUNDS."""
    found = getattr(request.module, "BOUNDS", LaneBounds(request_ms=REQUEST_MS))
    assert isinstance(found, LaneBounds)
    return found


@pytest.fixture(scope="module")
def besieged(bounds: LaneBounds) -> Iterator[Besieged]:
    lane = Besieged(bounds)
    lane.start()
    yield lane
    lane.stop()


@pytest.fixture(autouse=True)
def neighbour(besieged: Besieged) -> Iterator[Neighbour]:
    """Every attack is one on somebody: served while it lasts, and nothing is left after it."""
    with under_siege(besieged) as found:
        yield found
