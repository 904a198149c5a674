"""Brings the activated model into a spare slot of the engine, checked again from its bytes.

Verifying takes a second or more, so it has a thread of its own: other changes never wait for a
model. A refused artifact is logged and counted, and the model in use stays. A slot is written only
when no decision can be using it: not the active one, not one that was handed over a moment ago.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from riskgate.v1 import state_pb2
from server.errors import RiskgateError
from server.hotpath.layout import CHANGE_MODEL
from server.hotpath.memory import State
from server.hotpath.model_tables import MODEL_SLOTS, NO_MODEL_SLOT
from server.loaders.artifact import verify_artifact
from server.loaders.artifact_store import ArtifactStore
from server.security.keys import TRUST_FILE, load_trust_set
from server.trust_errors import ArtifactManifestInvalidError

log = logging.getLogger(__name__)

PURPOSE: Final = "slippage"
SLOT_REST_S: Final = 5.0
_SLOT_PAUSE_S: Final = 0.1
_IDLE_S: Final = 0.5


class Activation(NamedTuple):
    """One MODEL change.

    Attributes:
        change: Its bytes.
        purpose: As its row says.
        digest: Same; of the artifact, 32 bytes.
        serial: Same; rises with each activation.
        is_partial: It is part of a load, which numbers the state in the end.
        is_known: The engine was given it before, but may have ended before it was active.
    """

    change: bytes
    purpose: str
    digest: bytes
    serial: int
    is_partial: bool = False
    is_known: bool = False


def read_activation(message: state_pb2.StateChange, change: bytes) -> Activation:
    """Return the activation that a MODEL change with one row carries."""
    row = np.frombuffer(message.rows, CHANGE_MODEL)[0]
    # Not trusted yet: bytes that are no text simply name no purpose that is known here.
    purpose = row["purpose"].tobytes().rstrip(b"\0").decode(errors="replace")
    return Activation(change, purpose, row["digest"].tobytes(), int(row["serial"]))


class ModelLoader:
    """Loads activated models, the newest first when several wait.

    Args:
        data_dir: Holds `artifacts/` and `keys/trust.json`.
        state: Memory of the engine; only spare model slots are written.
        put: Takes the change with the slot that was filled, and `is_partial` of the activation by
            its name; False when it was not taken.
    """

    def __init__(self, data_dir: Path, state: State, put: Callable[..., bool]) -> None:
        self._store = ArtifactStore(data_dir / "artifacts")
        self._trust_path = data_dir / "keys" / TRUST_FILE
        self._state = state
        self._put = put
        self._waiting: Activation | None = None
        self._condition = threading.Condition()
        self._busy = False
        self._stopped = False
        self._handed_over_s = dict.fromkeys(range(MODEL_SLOTS), float("-inf"))
        self._newest_slot = NO_MODEL_SLOT
        self.loaded = 0
        self.refused = 0
        self._thread = threading.Thread(target=self._run, name="model-loader", daemon=True)

    @property
    def is_idle(self) -> bool:
        """Whether no model waits or is being loaded."""
        with self._condition:
            return self._waiting is None and not self._busy

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a model that is being verified is given up."""
        with self._condition:
            self._stopped = True
            self._condition.notify()

    def activate(self, activation: Activation) -> None:
        """Take an activation from the feed; returns at once."""
        is_passed = activation.serial <= self._active_serial()
        if is_passed and activation.is_known:
            return
        if not any(activation.digest) or is_passed:
            # No model, or one that the engine has or has passed: nothing to load.
            self._hand_over(activation, self._active_slot() if any(activation.digest) else -1)
            return
        with self._condition:
            if self._waiting is None or self._waiting.serial <= activation.serial:
                self._waiting = activation
                self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                while self._waiting is None and not self._stopped:
                    self._condition.wait(_IDLE_S)
                if self._stopped or self._waiting is None:
                    return
                activation, self._waiting, self._busy = self._waiting, None, True
            try:
                self._load(activation)
                self.loaded += 1
            except RiskgateError as error:
                self.refused += 1
                log.warning("model %s was refused: %s", activation.digest.hex(), error)
            except Exception:
                self.refused += 1
                log.exception("model %s could not be loaded", activation.digest.hex())
            finally:
                with self._condition:
                    self._busy = False

    def _load(self, activation: Activation) -> None:
        if activation.purpose != PURPOSE:
            raise ArtifactManifestInvalidError(
                f"nothing here uses a model for {activation.purpose!r}"
            )
        files = self._store.read(activation.digest.hex())
        artifact = verify_artifact(files, load_trust_set(self._trust_path))
        slot = self._wait_for_slot()
        if slot == NO_MODEL_SLOT:
            return
        artifact.load_into(self._state.models, slot)
        self._newest_slot = slot
        self._handed_over_s[slot] = time.monotonic()
        if self._hand_over(activation, slot):
            log.info("model %s %s loaded", artifact.manifest.version, artifact.digest)

    def _hand_over(self, activation: Activation, slot: int) -> bool:
        return self._put(activation.change, slot, is_partial=activation.is_partial)

    def _wait_for_slot(self) -> int:
        """Return a slot that nobody uses; NO_MODEL_SLOT when stopped meanwhile."""
        while not self._stopped:
            now_s = time.monotonic()
            rested = [
                slot
                for slot, handed_over_s in self._handed_over_s.items()
                # The newest may still be on its way to the engine, however long that takes.
                if slot not in {self._active_slot(), self._newest_slot}
                and now_s - handed_over_s >= SLOT_REST_S
            ]
            if rested:
                return rested[0]
            time.sleep(_SLOT_PAUSE_S)
        return NO_MODEL_SLOT

    def _active_slot(self) -> int:
        return int(self._state.engine[0]["model_slot"])

    def _active_serial(self) -> int:
        return int(self._state.engine[0]["model_serial"])
