"""Row S0-62: versions are MAJOR.MINOR.PATCH; "v2.1" is taken as 2.1.0, everything else refused."""

import pytest

from server.semantic_version import normalise
from trainer.release import ReleasePlan

GOOD = {
    "2.1.0": "2.1.0",
    "v2.1": "2.1.0",
    "V2.1": "2.1.0",
    "v2.1.3": "2.1.3",
    "0.0": "0.0.0",
    "999999999.0.10": "999999999.0.10",
}
BAD = (
    *("", "v", "2", "v2", "2.", "2.1.", "2.1.0.0", "2.01.0", "02.1", "-1.0.0", "1.0.0-rc1"),
    *("1.0.0+5", " 1.0.0", "1.0.0\n", "1,0,0", "vv1.0", "1000000000.0.0", "١.٠.٠", "1.0.x"),
)


@pytest.mark.parametrize(("written", "meant"), GOOD.items())
def test_a_version_is_taken_in_full(written: str, meant: str) -> None:
    assert normalise(written) == meant
    assert ReleasePlan(version=written).version == meant


@pytest.mark.parametrize("written", BAD)
def test_what_is_no_version_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="MAJOR"):
        normalise(written)
    with pytest.raises(ValueError, match="MAJOR"):
        ReleasePlan(version=written)
