"""Judge a release on fills that it has not seen.

The answers come from the artifact's own graph, run by onnxruntime on features made with the
artifact's own encodings. Which rows count:

    the data hold training rows    only rows after the training window and its embargo; baselines
    are made anew
                                   from the training rows found in the data
    they hold none                 every row outside the embargo; baselines are those stored in the
    manifest
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from trainer.artifact import Artifact
from trainer.baselines import fit_group_baseline, fit_provider_baseline, read_baselines
from trainer.errors import NotEnoughDataError
from trainer.export import run_onnx
from trainer.features import build_features_from
from trainer.manifest import digest_fills
from trainer.report import build_report
from trainer.rows import StopFill
from trainer.split import order_by_time


def select_stop_losses(fills: Sequence[StopFill]) -> list[StopFill]:
    """Return the fills of stop losses in time order; a target is a limit order."""
    return order_by_time([fill for fill in fills if fill.exit_reason == "sl"])


def find_training_rows(fills: Sequence[StopFill], artifact: Artifact) -> list[StopFill]:
    """Return the rows of the training accounts in their training windows, in time order."""
    windows = {
        (account["provider_type"], account["provider_id"]): (
            datetime.fromisoformat(account["from"]),
            datetime.fromisoformat(account["to"]),
        )
        for account in artifact.manifest["training"]["accounts"]
    }
    found = []
    for fill in order_by_time(fills):
        window = windows.get((fill.provider_type, fill.provider_id))
        if window is not None and window[0] <= fill.ts <= window[1]:
            found.append(fill)
    return found


def evaluate_slippage(fills: Sequence[StopFill], artifact: Artifact) -> dict[str, Any]:
    """Return the report of a release on its unseen stop losses.

    Args:
        fills: Any rows; those of targets and those that the model may have seen are left out.
        artifact: The release.

    Raises:
        NotEnoughDataError: No unseen stop loss is left.
        ArtifactReadError: The manifest's baselines are needed and malformed.
    """
    rows = select_stop_losses(fills)
    training = find_training_rows(rows, artifact)
    edge = artifact.trained_until + artifact.embargo
    if training:
        unseen = [fill for fill in rows if fill.ts > edge]
        group, provider = fit_group_baseline(training), fit_provider_baseline(training)
    else:
        before = artifact.trained_until
        unseen = [fill for fill in rows if not before < fill.ts <= edge]
        group, provider = read_baselines(artifact.manifest["metrics"])
    if not unseen:
        raise NotEnoughDataError("the data hold no stop-loss fill that the model has not seen")
    features = build_features_from(unseen, artifact.encodings)
    report = build_report(
        unseen,
        run_onnx(artifact.model, features),
        group.predict(unseen),
        provider.predict(unseen),
    )
    report["baselines_from"] = "training_rows" if training else "manifest"
    report["training_rows_match"] = (
        digest_fills(training) == artifact.manifest["training"]["data_sha256"] if training else None
    )
    report["rows_left_out"] = len(rows) - len(unseen)
    report["model"] = {
        "version": artifact.manifest["version"],
        "digest": artifact.digest,
        "trained_until": artifact.manifest["training"]["to"],
    }
    return report
