"""The client of the control port: one channel and the generated stubs, for administration."""

from types import TracebackType
from typing import Any, Self

from riskgate.channel import Credentials, RunningStack, merge_credentials, open_channel
from riskgate.credentials import FilePath
from riskgate.v1 import (
    audit_pb2_grpc,
    breaker_pb2_grpc,
    identity_pb2_grpc,
    kill_pb2_grpc,
    market_pb2_grpc,
    model_pb2_grpc,
    provider_pb2_grpc,
    reference_pb2_grpc,
    risk_config_pb2_grpc,
)


class ControlClient:
    """Blocking stubs of the control services; their errors are plain `grpc.RpcError`.

    Args:
        address: HOST:PORT of the control port, or unix:PATH.
        credentials: As for `Client`, like the three that follow.
        certificate: PEM file that says who calls; needs key and ca.
        key: PEM file of its private key.
        ca: PEM file of the authority that vouches for the server.

    Attributes:
        reference: Instruments and accounts.
        risk_configurations: Risk configurations.
        breakers: Circuit breakers.
        providers: Providers and their metrics.
        market: Market context and conversion rates.
        models: Model register.
        audit: Audit log, ledger of models, anomalies.
        identities: Who may call.
        kills: The kill switch.
        drills: Exercises of it.

    Raises:
        ValueError: The address is on another machine and there are no credentials.
        CredentialsError: A file is missing or cannot be read.
    """

    def __init__(
        self,
        address: str,
        *,
        credentials: Credentials = None,
        certificate: FilePath | None = None,
        key: FilePath | None = None,
        ca: FilePath | None = None,
    ) -> None:
        shown = merge_credentials(credentials, certificate, key, ca)
        channel = open_channel(address, "control", shown)
        self._channel = channel
        self.reference: Any = reference_pb2_grpc.ReferenceServiceStub(channel)
        self.risk_configurations: Any = risk_config_pb2_grpc.RiskConfigServiceStub(channel)
        self.breakers: Any = breaker_pb2_grpc.BreakerServiceStub(channel)
        self.providers: Any = provider_pb2_grpc.ProviderServiceStub(channel)
        self.market: Any = market_pb2_grpc.MarketServiceStub(channel)
        self.models: Any = model_pb2_grpc.ModelServiceStub(channel)
        self.audit: Any = audit_pb2_grpc.AuditServiceStub(channel)
        self.identities: Any = identity_pb2_grpc.IdentityServiceStub(channel)
        self.kills: Any = kill_pb2_grpc.KillServiceStub(channel)
        self.drills: Any = kill_pb2_grpc.DrillServiceStub(channel)

    @classmethod
    def from_data_dir(
        cls,
        data_dir: FilePath | None = None,
        *,
        certificate: FilePath | None = None,
        key: FilePath | None = None,
        ca: FilePath | None = None,
    ) -> Self:
        """Return a client of the stack that runs in a data directory of this machine.

        Args:
            data_dir: None: the environment's RISKGATE_DATA_DIR, else `.riskgate`.
            certificate: As for `Client.from_data_dir`, like the two that follow.
            key: See certificate.
            ca: See certificate.

        Raises:
            StackNotFoundError: No stack runs there.
            CredentialsError: It wants a certificate, and there is none that can be read.
        """
        stack = RunningStack.read(data_dir)
        credentials = stack.choose_credentials([stack.control], certificate, key, ca)
        return cls(stack.control, credentials=credentials)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
