"""What `riskgate simulate` reads from a file with every limit: the rows that control would send."""

from pathlib import Path

from server.commands.apply_file import read_apply_file
from server.hotpath.change_kinds import BREAKER, INSTRUMENT, RISK_CONFIGURATION
from server.replays.what_if import read_changes
from tests.commands.test_limits import EVERYTHING


def test_every_limit_of_a_file_can_be_tried_out(tmp_path: Path) -> None:
    file = tmp_path / "everything.yaml"
    file.write_text(EVERYTHING)
    replacements, _ = read_changes(read_apply_file(file))
    rows = {each.kind: each.rows for each in replacements}
    (breaker,) = rows[BREAKER]
    assert (breaker["provider_count"], breaker["lock_after_trips"]) == (1, 3)
    assert breaker["program_length"] > 0
    own, symbol = rows[RISK_CONFIGURATION]
    assert (own["repeat_limit"], symbol["restricted"]) == (20, 1)
    (instrument,) = rows[INSTRUMENT]
    assert (instrument["hours_count"], instrument["collar_ppm"]) == (2, 5_000)
