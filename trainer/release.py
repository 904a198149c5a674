"""From stop fills to a signed release: split, fit, export, prove, describe, sign, write.

The one place that knows the order. Figures in the manifest come from the exported graph, not from
the fitted object, and only from rows after the cut.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from trainer.artifact import (
    ENCODINGS_FILE,
    ENVELOPE_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    pin_files,
    write_artifact,
)
from trainer.baselines import fit_group_baseline, fit_provider_baseline
from trainer.canonical import compute_digest, encode_canonical
from trainer.evaluate import select_stop_losses
from trainer.export import check_export, export_onnx, run_onnx
from trainer.families.slippage import SlippageModel, fit_slippage
from trainer.features import FEATURES, build_features_from
from trainer.manifest import PURPOSE, build_golden, build_manifest, describe_training
from trainer.report import build_report
from trainer.rows import StopFill
from trainer.sign import sign_release
from trainer.split import Split, split_by_time

DEFAULT_TRAIN_FRACTION: Final = 0.7
DEFAULT_EMBARGO: Final = timedelta(hours=24)
_VERSION: Final = re.compile(
    r"[vV]?(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(?:\.(0|[1-9]\d{0,8}))?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """What the caller decides about a release.

    Attributes:
        version: MAJOR.MINOR.PATCH; "v2.1" is taken as 2.1.0.
        author: Name shown to approvers; the signature, not the name, is what counts.
        train_fraction: Share of rows before the cut, in (0, 1]; 1 trains on all and reports no
            hold-out.
        embargo: Rows less than this before the cut are not used.
    """

    version: str = "1.0.0"
    author: str = "riskgate trainer"
    train_fraction: float = DEFAULT_TRAIN_FRACTION
    embargo: timedelta = DEFAULT_EMBARGO

    def __post_init__(self) -> None:
        written = _VERSION.fullmatch(self.version)
        if written is None:
            raise ValueError("the version is not MAJOR.MINOR.PATCH")
        object.__setattr__(self, "version", ".".join(part or "0" for part in written.groups()))
        if not 0 < self.train_fraction <= 1 or self.embargo < timedelta(0):
            raise ValueError("the train fraction is not in (0, 1] or the embargo is negative")


@dataclass(frozen=True, slots=True)
class Release:
    """What was written: the artifact's digest and its manifest's account of itself."""

    digest: str
    training: dict[str, Any]
    metrics: dict[str, Any]


def release_slippage(
    fills: Sequence[StopFill],
    out: Path,
    key: Ed25519PrivateKey,
    plan: ReleasePlan,
    report_step: Callable[[str], None] = lambda _step: None,
) -> Release:
    """Train on the earlier part of the stop losses and write a signed artifact.

    Args:
        fills: Any rows; those of targets are left out.
        out: Directory to write; must not exist or be empty.
        key: The author's key.
        plan: Version, author and split.
        report_step: Told the name of each step as it begins.

    Raises:
        NotEnoughDataError: Too few stop losses before the cut.
        ExportMismatchError: The graph does not answer as the model does; nothing is written.
        FileExistsError: The directory holds something.
    """
    split = split_by_time(select_stop_losses(fills), plan.train_fraction, plan.embargo)
    report_step("fit")
    model = fit_slippage(split.train, plan.embargo)
    report_step("export and compare with onnxruntime")
    features = build_features_from([*split.train, *split.holdout], model.encodings)
    graph = export_onnx(model.ensemble, len(FEATURES))
    check_export(graph, model.ensemble, features)
    report_step("judge on the hold-out")
    metrics = _measure(graph, model, split)
    contents = {
        MODEL_FILE: graph,
        ENCODINGS_FILE: encode_canonical(model.encodings.to_document()),
    }
    training = describe_training(
        split.train, plan.train_fraction, plan.embargo / timedelta(hours=1)
    )
    manifest = build_manifest(
        version=plan.version,
        author=plan.author,
        created_at=datetime.now(UTC),
        files=pin_files(contents),
        training=training,
        metrics=metrics,
        hyperparameters=model.hyperparameters,
        golden=build_golden(features, run_onnx(graph, features)),
    )
    report_step("sign and write")
    contents[MANIFEST_FILE] = manifest
    contents[ENVELOPE_FILE] = sign_release(manifest, PURPOSE, plan.version, key)
    write_artifact(out, contents)
    return Release(compute_digest(manifest), training, metrics)


def _measure(graph: bytes, model: SlippageModel, split: Split) -> dict[str, Any]:
    group, provider = fit_group_baseline(split.train), fit_provider_baseline(split.train)
    metrics: dict[str, Any] = {
        "baseline": group.to_document(),
        "champion": provider.to_document(),
        "holdout": None,
    }
    if split.holdout:
        metrics["holdout"] = build_report(
            split.holdout,
            run_onnx(graph, build_features_from(split.holdout, model.encodings)),
            group.predict(split.holdout),
            provider.predict(split.holdout),
        )
    return metrics
