"""The client of the control port: one channel and the generated stubs, for administration."""

import os
from types import TracebackType
from typing import Any, Self

import grpc

from riskgate.channel import open_channel, read_address
from riskgate.v1 import (
    breaker_pb2_grpc,
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
        credentials: TLS credentials; None: plaintext, to this machine only.

    Attributes:
        reference: Instruments and accounts.
        risk_configurations: Risk configurations.
        breakers: Circuit breakers.
        providers: Providers and their metrics.
        market: Market context and conversion rates.
        models: Model register.

    Raises:
        ValueError: The address is on another machine and there are no credentials.
    """

    def __init__(self, address: str, *, credentials: grpc.ChannelCredentials | None = None) -> None:
        channel = open_channel(address, "control", credentials)
        self._channel = channel
        self.reference: Any = reference_pb2_grpc.ReferenceServiceStub(channel)
        self.risk_configurations: Any = risk_config_pb2_grpc.RiskConfigServiceStub(channel)
        self.breakers: Any = breaker_pb2_grpc.BreakerServiceStub(channel)
        self.providers: Any = provider_pb2_grpc.ProviderServiceStub(channel)
        self.market: Any = market_pb2_grpc.MarketServiceStub(channel)
        self.models: Any = model_pb2_grpc.ModelServiceStub(channel)

    @classmethod
    def from_data_dir(cls, data_dir: str | os.PathLike[str] | None = None) -> Self:
        """Return a client of the stack that runs in a data directory of this machine.

        Args:
            data_dir: None: the environment's RISKGATE_DATA_DIR, else `.riskgate`.

        Raises:
            StackNotFoundError: No stack runs there.
        """
        return cls(read_address("control", data_dir))

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
