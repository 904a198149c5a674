"""`riskgate replay`, `explain` and `simulate` on the journal of a real engine, with no server."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from server.changes import model_rows
from server.cli import app
from server.commands.replay_options import open_source
from server.hotpath.change_kinds import MODEL
from server.hotpath.journal.entries import KIND_DECIDE
from server.journal.reader import Entry, read_call, read_entries
from server.journal.segments import segment_path
from server.loaders.artifact_store import ArtifactStore
from server.replays.replayer import Replayer, load_slot
from server.replays.restoring import start_replay
from server.replays.source import ReplaySource
from server.security.keys import ensure_development_keys
from server.snapshots import describe_state, save_snapshot
from tests.artifact_builder import build_artifact, load_author_key
from tests.decision_harness import good_request
from tests.journal_builder import overwrite, seal_entry
from tests.journaled_engine import JournaledEngine, find_model
from tests.journaled_example import HALF, new_example_engine, trade
from tests.onnx_builder import build_random_trees, build_tree_model


@pytest.fixture
def live(tmp_path: Path) -> Iterator[JournaledEngine]:
    """Return an engine behind four trades; its data directory is that of the test."""
    with new_example_engine(tmp_path / "journal") as made:
        for number in range(4):
            trade(made, f"order-{number}", 1.0)
        yield made


def run(live: JournaledEngine, *words: str, fails: bool = False) -> str:
    data_dir = str(live.folder.parent)
    result = CliRunner().invoke(app, [*words, "--data-dir", data_dir])
    assert result.exit_code == int(fails), result.output
    return result.stdout if not fails or result.stdout else result.output


def run_json(live: JournaledEngine, *words: str, fails: bool = False) -> Any:
    return json.loads(run(live, *words, "--json", fails=fails))


def tamper(live: JournaledEngine) -> Entry:
    """Change the lots in the answer of the first decision."""
    entry = next(each for each in read_entries(live.folder) if each.kind == KIND_DECIDE)
    answer = read_call(entry).answer
    at = entry.raw.rindex(answer) + 14  # the high byte of the double `lot_size`
    raw = bytearray(entry.raw)
    raw[at] ^= 0x10
    place = segment_path(live.folder, entry.segment_number), entry.offset
    overwrite(*place, seal_entry(bytes(raw)))
    return entry


def test_a_journal_that_comes_out_as_it_was_is_no_failure(live: JournaledEngine) -> None:
    assert run_json(live, "replay") | {"elapsed_s": 0, "decisions_per_second": 0} == {
        "first_entry": 1,
        "last_entry": live.entry_number,
        "decisions": 4,
        "differences": 0,
        "elapsed_s": 0,
        "decisions_per_second": 0,
        "findings": [],
        "snapshots": [],
    }
    text = run(live, "replay")
    assert "N = 4 decisions" in text
    assert "differences: 0" in text


def test_a_difference_is_named_field_by_field_and_fails(live: JournaledEngine) -> None:
    entry = tamper(live)
    found = run_json(live, "replay", fails=True)
    assert found["differences"] == 1
    (finding,) = found["findings"]
    assert (finding["number"], finding["kind"], finding["by_model"]) == (
        entry.number,
        "decide",
        False,
    )
    (field,) = finding["fields"]
    assert (field["field"], field["now"]) == ("lot_size", 0.32)
    assert f"lot_size: was {field['was']}, is now 0.32" in run(live, "replay", fails=True)


def test_only_the_entries_asked_for_are_replayed(live: JournaledEngine) -> None:
    ids = [entry.sequence for entry in read_entries(live.folder) if entry.kind == KIND_DECIDE]
    found = run_json(live, "replay", "--to", str(ids[1]))
    assert found["decisions"] == 2
    assert found["last_entry"] == find(live, ids[1]).number
    text = run(live, "replay", "--from", "9999", fails=True)
    assert "not found: event 9999" in text


def test_a_journal_elsewhere_is_replayed_by_its_folder(
    live: JournaledEngine, tmp_path: Path
) -> None:
    shutil.copytree(live.folder, tmp_path / "copy" / "journal-0of2")
    other = str(tmp_path / "copy" / "journal-0of2")
    assert run_json(live, "replay", "--journal", other)["decisions"] == 4
    assert "not found: journal" in run(live, "replay", "--journal", f"{other}x", fails=True)
    assert "not found: journal" in run(live, "replay", "--shard", "0/2", fails=True)


def find(live: JournaledEngine, sequence: int) -> Entry:
    return ReplaySource(live.folder, live.folder, find_model).find_entry(sequence)


def save_snapshot_of(live: JournaledEngine, number: int) -> Replayer:
    """Write the snapshot of an entry, as the follower does."""
    folder = live.folder.with_name("snapshots")
    replayer = start_replay(live.folder, folder, live.engine.capacity, find_model)
    assert replayer.advance(number)
    state = replayer.engine.state
    folder.mkdir(exist_ok=True)
    meta = describe_state(state, entry_number=number, made_at_ns=1, start=replayer.start)
    save_snapshot(folder, state, meta)
    return replayer


def test_snapshots_shorten_the_way_and_are_verified_on_it(live: JournaledEngine) -> None:
    ids = [entry.sequence for entry in read_entries(live.folder) if entry.kind == KIND_DECIDE]
    numbers = [find(live, sequence).number for sequence in ids]
    for number in numbers[1:3]:
        save_snapshot_of(live, number)
    found = run_json(live, "replay", "--from", str(ids[3]))
    assert (found["first_entry"], found["decisions"]) == (numbers[2] + 1, 1)
    verified = run_json(live, "replay", "--verify")
    assert verified["snapshots"] == [
        {"entry": number, "differences": []} for number in numbers[1:3]
    ]


def test_a_snapshot_of_another_state_is_found_when_it_is_verified(live: JournaledEngine) -> None:
    number = live.entry_number - 2
    replayer = save_snapshot_of(live, number)
    state = replayer.engine.state
    state.accounts.rows[1]["equity_micros"] += 1
    meta = describe_state(state, entry_number=number, made_at_ns=1, start=replayer.start)
    save_snapshot(live.folder.with_name("snapshots"), state, meta)
    assert run_json(live, "replay", "--to", "1")["differences"] == 0
    verified = run_json(live, "replay", "--verify", fails=True)
    assert verified["snapshots"] == [
        {"entry": number, "differences": ["accounts.equity_micros: 1 rows, the first is 1"]}
    ]


def test_a_decision_is_explained_for_people_and_for_scripts(live: JournaledEngine) -> None:
    first = next(entry for entry in read_entries(live.folder) if entry.kind == KIND_DECIDE)
    found = run_json(live, "explain", str(first.sequence))
    assert (found["is_same"], found["entry"]) == (True, first.number)
    assert found["answer"]["lot_size"] == 0.32
    assert found["sizes"]["risk_money"] == 67.5
    checks = {check["check"]: check for check in found["checks"]}
    assert checks["RISK_PER_TRADE"]["lots_max"] == 0.32
    text = run(live, "explain", str(first.sequence))
    for part in ("0.32 lots", "RISK_PER_TRADE", "channel_12345", "the journaled one"):
        assert part in text
    assert "number is that of a report" in run(live, "explain", str(first.sequence + 1), fails=True)


def test_an_explanation_that_comes_out_differently_fails(live: JournaledEngine) -> None:
    entry = tamper(live)
    found = run_json(live, "explain", str(entry.sequence), fails=True)
    assert [field["field"] for field in found["differences"]] == ["lot_size"]


def test_a_simulation_is_told_for_people_and_for_scripts(live: JournaledEngine) -> None:
    path = live.folder.with_name("half.yaml")
    path.write_text(yaml.safe_dump({"risk_configurations": [HALF]}))
    found = run_json(live, "simulate", "--changes", str(path))
    assert (found["decisions"], found["resized"], found["flips"]) == (4, 4, [])
    (lots,) = found["lots"]["symbol"]
    assert (lots["name"], round(lots["was"], 9), round(lots["now"], 9)) == ("EURUSD", 1.28, 0.64)
    (gain,) = found["gain"]
    assert (gain["currency"], gain["was"], gain["now"]) == ("USD", 4.0, 2.0)
    text = run(live, "simulate", "--changes", str(path))
    for part in ("N = 4 decisions", "EURUSD", "-2.00", "the same fills at the same prices"):
        assert part in text
    assert "name a file with --changes" in run(live, "simulate", fails=True)


def test_another_model_is_simulated_from_a_signed_artifact(
    live: JournaledEngine, artifact: Path
) -> None:
    found = run_json(live, "simulate", "--model", str(artifact))
    assert (found["decisions"], found["resized"]) == (4, 4)
    (artifact / "model.onnx").write_bytes(b"other")
    assert "not the file that the manifest names" in run(
        live, "simulate", "--model", str(artifact), fails=True
    )


@pytest.fixture
def artifact(live: JournaledEngine) -> Path:
    """Return the folder of an artifact that the data directory trusts."""
    keys = live.folder.with_name("keys")
    ensure_development_keys(keys)
    folder = live.folder.with_name("candidate")
    folder.mkdir()
    # One that expects some pips of slippage, whatever the hour of the day.
    attributes = build_random_trees(np.random.default_rng(8), 60, 2)
    attributes["target_weights"] = [abs(weight) for weight in attributes["target_weights"]]
    model = build_tree_model(attributes)
    for name, content in build_artifact(load_author_key(keys), model).items():
        (folder / name).write_bytes(content)
    return folder


def test_models_of_the_journal_come_from_the_store(live: JournaledEngine, artifact: Path) -> None:
    files = {path.name: path.read_bytes() for path in artifact.iterdir()}
    digest = ArtifactStore(live.folder.with_name("artifacts")).put(files)
    source = open_source(live.folder.parent, None, None)
    load_slot(live.engine, 2, bytes.fromhex(digest), source.find_model)
    rows = model_rows("slippage", bytes.fromhex(digest), "1.0.0", 1)
    live.change(MODEL, "slippage", rows, version=9, slot=2)
    answer = live.decide(good_request())
    assert answer.model_digest.hex() == digest
    assert run_json(live, "replay")["decisions"] == 5
    found = run_json(live, "explain", str(answer.decision_id))
    assert found["model"]["digest"] == digest
    assert found["model"]["features"]["stop_distance_pips"] == 20.0
