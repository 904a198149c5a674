"""The recorder process: recording in its main thread, snapshots behind it, until a signal comes."""

import logging
import signal
from types import FrameType

from server.journal.budget import JournalBudget
from server.journal.checkpoint_files import CheckpointFiles
from server.journal.seals import Sealer
from server.record.journal_checkpoints import JournalCheckpoints
from server.recorder.denials import DenialRecording
from server.recorder.housekeeping import Follower, Housekeeper
from server.recorder.progress import PROGRESS_FOLDER
from server.recorder.recording import Recorder
from server.recorder.sealing import Sealing
from server.security.keys import ensure_checkpoint_key
from server.settings import Settings
from server.shards import CHECKPOINT_FOLDER, JOURNAL_FOLDER, SNAPSHOT_FOLDER, Shard

log = logging.getLogger(__name__)


def run_recorder(settings: Settings) -> None:
    """Record the journal of one engine until SIGTERM or SIGINT; behind it, write snapshots.

    Raises:
        ConfigurationError: No PostgreSQL is named.
    """
    shard = Shard.parse(settings.shard)
    journal = shard.folder(settings.data_dir, JOURNAL_FOLDER)
    recorder = Recorder(
        journal,
        settings.database_url_text(),
        settings.data_dir / PROGRESS_FOLDER / f"{shard.name('recorder')}.json",
        shard=shard.index,
        shards=shard.count,
    )

    def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
        recorder.stop_asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)

    def open_follower() -> Follower:
        # Here, because it loads the kernels: recording begins without them.
        from server.engine_start import capacity_in  # noqa: PLC0415
        from server.loaders.model_source import ModelSource  # noqa: PLC0415
        from server.replays.follower import Follower as JournalFollower  # noqa: PLC0415

        return JournalFollower(
            journal,
            shard.folder(settings.data_dir, SNAPSHOT_FOLDER),
            capacity_in(settings),
            ModelSource(settings.data_dir, settings.artifact_store_url).find,
            interval_entries=settings.snapshot_interval_entries,
        )

    sealer = Sealer(
        journal,
        ensure_checkpoint_key(settings.data_dir / "keys"),
        CheckpointFiles(shard.folder(settings.data_dir, CHECKPOINT_FOLDER)),
        JournalCheckpoints(settings.database_url_text(), shard),
        shard=shard,
    )
    sealing = Sealing(sealer, lambda: recorder.position.entry_number)
    housekeeper = Housekeeper(
        open_follower,
        JournalBudget(journal, settings.journal_budget_bytes),
        # What goes must be in PostgreSQL, and vouched for.
        lambda: min(recorder.position.entry_number, sealing.sealed_number),
    )
    denials = DenialRecording(settings.data_dir, settings.database_url_text())
    sealing.start()
    housekeeper.start()
    denials.start()
    try:
        recorder.run()
    finally:
        denials.stop()
        housekeeper.stop()
        sealing.stop()
    log.info("stopped behind entry %d", recorder.position.entry_number)
