"""Which model stands in which slot of the engine, and which slot may be written.

A slot is written only when no decision can be using it: not the active one, and not one whose
activation has not reached the engine yet. What stands in a slot stays there until the room is
needed, so that going back to it takes one change.
"""

import time
from collections.abc import Collection
from typing import Final

from server.hotpath.memory import State
from server.hotpath.model_tables import KIND_NONE, MODEL_SLOTS, NO_MODEL_SLOT
from server.loaders.activation_change import NO_DIGEST
from server.loaders.artifact import VerifiedArtifact

_LOOK_PAUSE_S: Final = 0.001


class ModelSlots:
    """The model slots of one engine; the caller sees to it that one thread at a time is in here.

    Args:
        state: Memory of the engine; what a recovered one has stays where it is.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._digests = {
            slot: record["digest"].tobytes()
            for slot, record in enumerate(state.models.slots)
            if record["kind"] != KIND_NONE
        }
        self._serials = dict.fromkeys(range(MODEL_SLOTS), 0)
        self._used_s = dict.fromkeys(range(MODEL_SLOTS), float("-inf"))

    @property
    def active_serial(self) -> int:
        """Serial of the activation that the engine has taken last."""
        return int(self._state.engine[0]["model_serial"])

    @property
    def active_slot(self) -> int:
        """The slot that decides; NO_MODEL_SLOT: none."""
        return int(self._state.engine[0]["model_slot"])

    @property
    def active_digest(self) -> bytes:
        """Digest of the model that decides; NO_DIGEST: none."""
        slot = self.active_slot
        if slot == NO_MODEL_SLOT:
            return NO_DIGEST
        return bytes(self._state.models.slots[slot]["digest"].tobytes())

    def find(self, digest: bytes) -> int:
        """Return the slot in which a model stands whole; NO_MODEL_SLOT: in none."""
        return next((slot for slot, held in self._digests.items() if held == digest), NO_MODEL_SLOT)

    def note_handed_over(self, slot: int, serial: int) -> None:
        """Keep a slot as it is until the engine has taken that activation, and longer if it can."""
        if slot != NO_MODEL_SLOT:
            self._serials[slot] = serial
            self._used_s[slot] = time.monotonic()

    def claim(self, wanted: Collection[bytes]) -> int:
        """Return a slot that nobody uses and forget what stood there; NO_MODEL_SLOT: there is none.

        Empty ones first, then the one that was used longest ago.

        Args:
            wanted: Digests that stay where they are.
        """
        serial, active = self._read_active()
        spare = [
            slot
            for slot in range(MODEL_SLOTS)
            if slot != active
            and self._serials[slot] <= serial
            and self._digests.get(slot) not in wanted
        ]
        if not spare:
            return NO_MODEL_SLOT
        slot = min(spare, key=lambda each: (each in self._digests, self._used_s[each]))
        self._digests.pop(slot, None)
        return slot

    def fill(self, slot: int, artifact: VerifiedArtifact) -> None:
        """Write a model into a claimed slot."""
        artifact.load_into(self._state.models, slot)

    def note_filled(self, slot: int, digest: bytes) -> None:
        """Let the model be found from now on."""
        self._digests[slot] = digest
        self._used_s[slot] = time.monotonic()

    def _read_active(self) -> tuple[int, int]:
        # The engine writes the two one after the other: equal twice means that they belong
        # together.
        pair = self.active_serial, self.active_slot
        while True:
            time.sleep(_LOOK_PAUSE_S)
            again = self.active_serial, self.active_slot
            if again == pair:
                return again
            pair = again
