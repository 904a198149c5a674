"""Hand provider metrics and signed artifacts to the control plane.

It works out scores from metrics by its policy. Fractions become the percents of the contract. The
contract wants all four rates of a period or none, so a period with trades but without any stop
cannot be told and is left out and counted: its provider keeps the score it has, or stays unknown.
The overall rows have no period and stay here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from riskgate.channel import Credentials, RunningStack, StackNotFoundError, open_channel
from riskgate.credentials import CredentialsError
from riskgate.v1 import model_pb2, model_pb2_grpc, provider_pb2_grpc
from riskgate.v1 import provider_pb2 as pb
from riskgate.v1.admin_pb2 import ChangeNote
from riskgate.v1.types_pb2 import PROVIDER_TYPE_CHANNEL_SOURCE, PROVIDER_TYPE_USER
from trainer.artifact import read_files
from trainer.errors import TrainerError
from trainer.metrics import ProviderMetric

ROWS_PER_CALL: Final = 1_000
DEADLINE_S: Final = 30.0
# The control plane verifies an artifact in a child process.
ARTIFACT_DEADLINE_S: Final = 60.0
_TYPES: Final = {"channel_source": PROVIDER_TYPE_CHANNEL_SOURCE, "user": PROVIDER_TYPE_USER}
_PERIODS: Final = {
    "daily": pb.PERIOD_TYPE_DAILY,
    "weekly": pb.PERIOD_TYPE_WEEKLY,
    "monthly": pb.PERIOD_TYPE_MONTHLY,
}
_PERCENT_DECIMALS: Final = 4
_RATIO_DECIMALS: Final = 6


class PushRefusedError(TrainerError):
    """The control plane cannot be reached or refused what was sent; earlier calls stay."""


@dataclass(frozen=True, slots=True)
class PushResult:
    """What became of the rows.

    Attributes:
        written: New or changed rows.
        unchanged: Rows that were there already.
        scores_moved: Providers whose score is another now, counted per call.
        left_out: Rows with trades but without any stop.
        state_version: Version of the last change; 0 when nothing was sent.
    """

    written: int = 0
    unchanged: int = 0
    scores_moved: int = 0
    left_out: int = 0
    state_version: int = 0


def find_control(data_dir: Path) -> tuple[str, Credentials]:
    """Return address and credentials for the control port of the stack of a data directory.

    Raises:
        PushRefusedError: No stack runs there, or what it wants to see cannot be read.
    """
    try:
        stack = RunningStack.read(data_dir)
        return stack.control, stack.choose_credentials([stack.control])
    except (StackNotFoundError, CredentialsError) as error:
        raise PushRefusedError(str(error)) from error


def push_artifact(
    directory: Path,
    control_address: str,
    actor: str = "trainer",
    reason: str = "",
    credentials: Credentials = None,
) -> str:
    """Register a release; people propose, approve and activate it afterwards.

    Args:
        directory: Of the artifact.
        control_address: HOST:PORT of the control port.
        actor: Stored in the audit log.
        reason: Same.
        credentials: As for `riskgate.Client`.

    Returns:
        Status of the version in the register, in lower case.

    Raises:
        ArtifactReadError: It is not what its manifest says.
        PushRefusedError: The call failed.
    """
    files = [
        model_pb2.ModelFile(name=name, content=content)
        for name, content in sorted(read_files(directory).items())
    ]
    request = model_pb2.PushModelRequest(files=files, note=ChangeNote(actor=actor, reason=reason))
    with open_channel(control_address, "control", credentials) as channel:
        stub = model_pb2_grpc.ModelServiceStub(channel)
        try:
            answer = stub.PushModel(request, timeout=ARTIFACT_DEADLINE_S)
        except grpc.RpcError as error:
            raise PushRefusedError(f"{error.code().name}: {error.details()}") from error
    status = model_pb2.ModelStatus.Name(answer.model.status)
    return status.removeprefix("MODEL_STATUS_").lower()


def push_provider_metrics(
    metrics: Iterable[ProviderMetric],
    control_address: str,
    actor: str = "trainer",
    credentials: Credentials = None,
) -> PushResult:
    """Send the metrics of days, weeks and months, oldest first.

    Args:
        metrics: From `provider_metrics`.
        control_address: HOST:PORT of the control port.
        actor: Stored in the audit log.
        credentials: As for `riskgate.Client`.

    Raises:
        PushRefusedError: A call failed.
    """
    periods = [row for row in metrics if row.period_type in _PERIODS]
    complete = sorted((row for row in periods if _is_complete(row)), key=lambda row: row.period_end)
    result = PushResult(left_out=len(periods) - len(complete))
    with open_channel(control_address, "control", credentials) as channel:
        stub = provider_pb2_grpc.ProviderServiceStub(channel)
        for rows in _split(complete):
            request = pb.PutProviderMetricsRequest(
                metrics=map(build_metric, rows), note=ChangeNote(actor=actor)
            )
            try:
                answer = stub.PutProviderMetrics(request, timeout=DEADLINE_S)
            except grpc.RpcError as error:
                raise PushRefusedError(f"{error.code().name}: {error.details()}") from error
            result = PushResult(
                result.written + answer.written,
                result.unchanged + answer.unchanged,
                result.scores_moved + answer.scores_moved,
                result.left_out,
                max(result.state_version, answer.state_version),
            )
    return result


def build_metric(row: ProviderMetric) -> pb.ProviderMetric:
    """Return the message of a complete row."""
    figures = pb.ProviderFigures(
        win_rate=_percent(row.win_rate_fraction),
        max_drawdown=_percent(row.max_drawdown_fraction),
        reward_to_risk_ratio=_round(row.reward_to_risk_ratio, _RATIO_DECIMALS),
        sl_compliance_rate=_percent(row.sl_compliance_fraction),
        total_signals=row.total_signals,
        winning_signals=row.winning_signals,
        losing_signals=row.losing_signals,
        avg_slippage=_round(row.avg_slippage_pips, _RATIO_DECIMALS),
        max_slippage=_round(row.max_slippage_pips, _RATIO_DECIMALS),
        avg_latency_ms=None if row.avg_latency_ms is None else round(row.avg_latency_ms),
    )
    return pb.ProviderMetric(
        provider_id=row.provider_id,
        provider_type=_TYPES[row.provider_type],
        period_start=row.period_start.isoformat(),
        period_end=row.period_end.isoformat(),
        period_type=_PERIODS[row.period_type],
        figures=figures,
    )


def _is_complete(row: ProviderMetric) -> bool:
    rates = (
        row.win_rate_fraction,
        row.max_drawdown_fraction,
        row.reward_to_risk_ratio,
        row.sl_compliance_fraction,
    )
    return all(rate is not None for rate in rates) or all(rate is None for rate in rates)


def _split(rows: Sequence[ProviderMetric]) -> Iterable[Sequence[ProviderMetric]]:
    return [rows[start : start + ROWS_PER_CALL] for start in range(0, len(rows), ROWS_PER_CALL)]


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else round(100 * fraction, _PERCENT_DECIMALS)


def _round(value: float | None, decimals: int) -> float | None:
    return None if value is None else round(value, decimals)
