"""Brings the activated model into the engine: proven, checked again from its bytes, by one change.

Verifying takes a second or more, so it has a thread of its own: other changes never wait for a
model. One that stands in a slot already is switched to at once. A refused artifact is logged and
counted, and the model in use stays. What a rollback would go back to is loaded beforehand.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from server.errors import BrokenInvariantError, RiskgateError
from server.hotpath.memory import State
from server.hotpath.model_tables import NO_MODEL_SLOT
from server.loaders.activation_change import NO_DIGEST, Activation
from server.loaders.model_slots import ModelSlots
from server.loaders.model_source import ModelSource
from server.loaders.proof_judge import ProofJudge
from server.loaders.wanted import Wanted
from server.trust_errors import ArtifactManifestInvalidError

log = logging.getLogger(__name__)

PURPOSE: Final = "slippage"
_SLOT_PAUSE_S: Final = 0.05
_IDLE_S: Final = 0.5


class ModelLoader:
    """Loads activated models, the newest first when several wait.

    Args:
        data_dir: Holds `artifacts/` and `keys/trust/`.
        state: Memory of the engine; only spare model slots are written.
        put: Takes the change with the slot that was filled, and `is_partial` of the activation by
            its name; False when it was not taken.
        judge: Of the proofs; None: one that remembers nothing.
        source: Of the artifacts; None: one of its own.

    Attributes:
        wanted: What the record says.
        loaded: Models written into a slot so far.
        switched: Activations handed on so far, those without a model included.
    """

    def __init__(
        self,
        data_dir: Path,
        state: State,
        put: Callable[..., bool],
        *,
        judge: ProofJudge | None = None,
        source: ModelSource | None = None,
    ) -> None:
        self._source = source or ModelSource(data_dir)
        self._judge = judge or ProofJudge(self._source.load_trust)
        self._put = put
        self._slots = ModelSlots(state)
        # Held while a slot is chosen, forgotten, or named in a change.
        self._slots_lock = threading.Lock()
        self._handed_serial = 0
        self._waiting: Activation | None = None
        self._fallback = NO_DIGEST
        self._condition = threading.Condition()
        self._busy = False
        self._stopped = False
        self.wanted = Wanted(PURPOSE)
        self.loaded = 0
        self.switched = 0
        self._thread = threading.Thread(target=self._run, name="model-loader", daemon=True)

    @property
    def is_idle(self) -> bool:
        """Whether no activated model waits or is being loaded."""
        with self._condition:
            return self._waiting is None and not self._busy

    @property
    def is_preloaded(self) -> bool:
        """Whether what a rollback would go back to stands in a slot, or there is no such thing."""
        return self._is_at_hand(self._fallback)

    @property
    def is_proven(self) -> bool:
        """Whether the model that decides is the one that the record says."""
        newest = self.wanted.activation
        return newest is None or self.running == (newest.serial, newest.digest)

    @property
    def running(self) -> tuple[int, bytes]:
        """Serial and digest of the activation in use; NO_DIGEST: no model decides."""
        return self._slots.active_serial, self._slots.active_digest

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a model that is being verified is given up."""
        with self._condition:
            self._stopped = True
            self._condition.notify()

    def activate(self, activation: Activation) -> None:
        """Take an activation from the feed; what needs no loading is handed on before return."""
        if activation.purpose != PURPOSE:
            problem = f"nothing here uses a model for {activation.purpose!r}"
            self.wanted.refuse(activation, ArtifactManifestInvalidError(problem))
            return
        self.wanted.note(activation)
        if activation.serial <= self._slots.active_serial:
            self._take_passed(activation)
        elif self._is_at_hand(activation.digest):
            self._prove_and_switch(activation)
        else:
            self._wait_for_thread(activation)

    def try_again(self) -> None:
        """Take once more what was refused: a file or a trust set may have come since."""
        newest = self.wanted.activation
        if newest is not None and self.wanted.problem is not None and self.is_idle:
            self.activate(newest._replace(is_known=True))

    def _take_passed(self, activation: Activation) -> None:
        """Take one that the engine has or has passed: it changes nothing there."""
        if activation.is_known:
            return
        slot = self._slots.active_slot if any(activation.digest) else NO_MODEL_SLOT
        self._put(activation.change, slot, is_partial=activation.is_partial)

    def _wait_for_thread(self, activation: Activation) -> None:
        with self._condition:
            if self._waiting is None or self._waiting.serial <= activation.serial:
                self._waiting = activation
                self._condition.notify()

    def _is_at_hand(self, digest: bytes) -> bool:
        with self._slots_lock:
            return digest == NO_DIGEST or self._slots.find(digest) != NO_MODEL_SLOT

    def _prove_and_switch(self, activation: Activation) -> None:
        """Check the proof, load the model unless it is at hand, and let the engine switch."""
        try:
            statement = self._judge.judge(
                activation, self._slots.active_serial, self._source.find_author
            )
            fallback = bytes.fromhex(statement.fallback_digest) or NO_DIGEST
            while not self._hand_over(activation, fallback):
                if not self._load(activation.digest):
                    return
        except RiskgateError as error:
            self.wanted.refuse(activation, error)
        except Exception as error:
            log.exception("model %s could not be loaded", activation.digest.hex())
            self.wanted.refuse(activation, BrokenInvariantError(str(error)))
        else:
            self._judge.note_accepted(activation)
            self.wanted.accept(activation)
            with self._condition:
                self._condition.notify()

    def _hand_over(self, activation: Activation, fallback: bytes) -> bool:
        """Let the engine switch, if it can do so now; False: the model has to be loaded first."""
        with self._slots_lock:
            if activation.serial <= self._handed_serial:
                return True  # a newer one has overtaken it
            slot = self._slots.find(activation.digest)
            if slot == NO_MODEL_SLOT and activation.digest != NO_DIGEST:
                return False
            if self._put(activation.change, slot, is_partial=activation.is_partial):
                self._handed_serial = activation.serial
                self._fallback = fallback
                self._slots.note_handed_over(slot, activation.serial)
                self.switched += 1
            return True

    def _run(self) -> None:
        while True:
            with self._condition:
                while not (self._stopped or self._waiting or not self.is_preloaded):
                    self._condition.wait(_IDLE_S)
                if self._stopped:
                    return
                activation, self._waiting = self._waiting, None
                self._busy = activation is not None
            try:
                if activation is None:
                    self._preload()
                else:
                    self._prove_and_switch(activation)
            finally:
                with self._condition:
                    self._busy = False

    def _preload(self) -> None:
        fallback = self._fallback
        try:
            self._load(fallback)
        except Exception as error:  # noqa: BLE001 whatever it is: the model in use is not touched
            log.warning("the fallback %s cannot be loaded: %s", fallback.hex(), error)
            with self._slots_lock:
                if self._fallback == fallback:
                    self._fallback = NO_DIGEST

    def _load(self, digest: bytes) -> bool:
        """Write a model into a spare slot; False when stopped meanwhile."""
        artifact = self._source.find(digest)
        slot = self._wait_for_slot({digest, self._fallback})
        if slot == NO_MODEL_SLOT:
            return False
        self._slots.fill(slot, artifact)
        with self._slots_lock:
            self._slots.note_filled(slot, digest)
        self.loaded += 1
        log.info("model %s %s loaded", artifact.manifest.version, artifact.digest)
        return True

    def _wait_for_slot(self, wanted: set[bytes]) -> int:
        """Return a slot that nobody uses; NO_MODEL_SLOT when stopped meanwhile."""
        while not self._stopped:
            with self._slots_lock:
                slot = self._slots.claim(wanted)
            if slot != NO_MODEL_SLOT:
                return slot
            time.sleep(_SLOT_PAUSE_S)
        return NO_MODEL_SLOT
