"""Brings the activated risk policy to the engine, if its rows are those of the signed policy.

A policy is small and travels with its change, so this is done at once, in the thread of the feed.
"""

import threading
from collections.abc import Callable

from server.changes import policy_rows
from server.errors import RiskgateError
from server.hotpath.memory import State
from server.loaders.activation_change import NO_DIGEST, Activation
from server.loaders.manifest import PolicyManifest
from server.loaders.model_source import ModelSource
from server.loaders.policy_artifact import verify_policy
from server.loaders.proof_judge import ProofJudge
from server.loaders.release import open_release
from server.loaders.wanted import Wanted
from server.policy import RISK_POLICY, default_policy_row
from server.security.trusted_key import TrustedKey, TrustSet
from server.trust_errors import ArtifactPolicyInvalidError


class PolicyLoader:
    """Judges the activations of risk policies.

    Args:
        state: Memory of the engine; only read.
        put: Takes the change, and `is_partial` of the activation by its name.
        judge: Of the proofs.
        source: For the trust set.

    Attributes:
        wanted: What the record says.
    """

    def __init__(
        self, state: State, put: Callable[..., bool], judge: ProofJudge, source: ModelSource
    ) -> None:
        self._state = state
        self._put = put
        self._judge = judge
        self._source = source
        self._lock = threading.Lock()
        self.wanted = Wanted(RISK_POLICY)

    @property
    def is_proven(self) -> bool:
        """Whether the engine has the policy that the record says."""
        newest = self.wanted.activation
        return newest is None or self._state.policy[0].tobytes() == newest.rows

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical bytes of the policy in use."""
        return bytes(self._state.policy[0]["digest"].tobytes())

    def activate(self, activation: Activation) -> None:
        """Take an activation from the feed."""
        with self._lock:
            self.wanted.note(activation)
            self._take(activation)

    def try_again(self) -> None:
        """Judge once more what was refused: a file or a trust set may have come since."""
        with self._lock:
            newest = self.wanted.activation
            if newest is not None and self.wanted.problem is not None:
                self._take(newest)

    def _take(self, activation: Activation) -> None:
        is_there = self._state.policy[0].tobytes() == activation.rows
        if activation.is_known and is_there:
            return
        try:
            self._check(activation)
        except RiskgateError as error:
            self.wanted.refuse(activation, error)
            return
        self._judge.note_accepted(activation)
        self.wanted.accept(activation)
        self._put(activation.change, is_partial=activation.is_partial)

    def _check(self, activation: Activation) -> None:
        def find_author(_digest: str, trust: TrustSet) -> TrustedKey:
            return open_release(activation.files, trust, PolicyManifest)[2]

        self._judge.judge(activation, 0, find_author)
        if activation.digest == NO_DIGEST:
            rows = default_policy_row().tobytes()
        else:
            policy = verify_policy(activation.files, self._source.load_trust())
            rows = policy_rows(policy.policy)
        if rows != activation.rows:
            raise ArtifactPolicyInvalidError("the change does not hold the signed policy")
