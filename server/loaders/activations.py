"""What the record says must run, of every purpose, and whether this engine runs it."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from riskgate.v1 import state_pb2
from server.hotpath.memory import State
from server.loaders.activation_change import Activation
from server.loaders.model_loader import ModelLoader
from server.loaders.model_source import ModelSource
from server.loaders.policy_loader import PolicyLoader
from server.loaders.proof_judge import ProofJudge, Seen
from server.loaders.wanted import Wanted

# A swap takes a few seconds at most: the trial run of a model that is not loaded yet.
LAG_S_MAX: Final = 10.0


class Activations:
    """Takes the activations of the feed; each purpose has a loader of its own.

    Args:
        data_dir: Holds `artifacts/` and `keys/trust/`.
        state: Memory of the engine; only spare model slots are written.
        put: Takes a change, the slot that was filled for it, and `is_partial` by its name.
        seen: What an earlier start of this engine has accepted, by purpose.
        store_url: The setting `artifact_store_url`.

    Attributes:
        models: Of the slippage model.
        policies: Of the risk policy.
    """

    def __init__(
        self,
        data_dir: Path,
        state: State,
        put: Callable[..., bool],
        seen: Mapping[str, Seen] | None = None,
        store_url: str | None = None,
    ) -> None:
        source = ModelSource(data_dir, store_url)
        self._judge = ProofJudge(source.load_trust, seen)
        self.models = ModelLoader(data_dir, state, put, judge=self._judge, source=source)
        self.policies = PolicyLoader(state, put, self._judge, source)

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        """What the record says, for each purpose."""
        return self.models.wanted, self.policies.wanted

    @property
    def seen(self) -> dict[str, Seen]:
        """The newest activation of each purpose that was accepted here."""
        return self._judge.seen

    @property
    def is_proven(self) -> bool:
        """Whether the engine runs what the record says."""
        return self.models.is_proven and self.policies.is_proven

    @property
    def is_behind(self) -> bool:
        """Whether it does not and will not soon: refused, or under way for too long."""
        late_s = time.monotonic() - LAG_S_MAX
        return any(
            not loader.is_proven and (loader.wanted.problem or loader.wanted.since_s < late_s)
            for loader in (self.models, self.policies)
        )

    def activate(self, activation: Activation) -> None:
        """Take an activation from the feed; returns at once."""
        is_policy = activation.kind == state_pb2.CHANGE_KIND_POLICY
        loader = self.policies if is_policy else self.models
        loader.activate(activation)

    def try_again(self) -> None:
        """Judge once more what was refused: a file or a trust set may have come since."""
        self.models.try_again()
        self.policies.try_again()
