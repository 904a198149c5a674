"""Whether an activation may reach the engine: what people have signed, and the serials seen here.

The engine believes neither control nor the record: it checks the proof of every MODEL and POLICY
change by itself, against its own trust set, before anything is loaded.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from server.loaders.activation_change import NO_DIGEST, Activation
from server.security.activation import ActivationStatement
from server.security.activation_proof import check_proof
from server.security.trusted_key import TrustedKey, TrustSet


class Seen(NamedTuple):
    """The newest activation that was accepted here.

    Attributes:
        serial: Its serial.
        digest: Of the artifact, 32 bytes; NO_DIGEST: none.
    """

    serial: int
    digest: bytes


class ProofJudge:
    """Judges activations; remembers the newest one of each purpose, so that none comes again.

    Args:
        load_trust: Returns the trust set as it is now.
        seen: What an earlier start of this engine has accepted, by purpose.
    """

    def __init__(
        self, load_trust: Callable[[], TrustSet], seen: Mapping[str, Seen] | None = None
    ) -> None:
        self._load_trust = load_trust
        self._seen = dict(seen or {})

    @property
    def seen(self) -> dict[str, Seen]:
        """The newest activation of each purpose that was accepted."""
        return dict(self._seen)

    def judge(
        self,
        activation: Activation,
        active_serial: int,
        find_author: Callable[[str, TrustSet], TrustedKey],
    ) -> ActivationStatement:
        """Return what people have signed, if it allows just this.

        Args:
            activation: From the feed.
            active_serial: Of the activation in use.
            find_author: Returns who released the artifact of a digest.

        Raises:
            TrustSetInvalidError: There is no trust set that may be used.
            StatementError: One subclass for each reason.
            ArtifactError: The artifact is not here, or its release is refused.
        """
        trust = self._load_trust()
        return check_proof(
            activation.proof,
            purpose=activation.purpose,
            digest=activation.digest,
            serial=activation.serial,
            active_serial=max(active_serial, self._newest_passed(activation)),
            trust=trust,
            find_author=lambda digest: find_author(digest, trust),
        )

    def note_accepted(self, activation: Activation) -> None:
        """Refuse everything older from now on, also after the next start."""
        seen = self._seen.get(activation.purpose, Seen(0, NO_DIGEST))
        if activation.serial > seen.serial:
            self._seen[activation.purpose] = Seen(activation.serial, activation.digest)

    def _newest_passed(self, activation: Activation) -> int:
        seen = self._seen.get(activation.purpose, Seen(0, NO_DIGEST))
        # An engine that starts is given once more what it had.
        is_same = activation.digest == seen.digest
        return seen.serial - 1 if is_same and seen.serial else seen.serial
