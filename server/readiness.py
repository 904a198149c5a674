"""Ask a port, by the standard gRPC health protocol, whether it serves.

`python -m server.readiness SECONDS DATA_DIR` waits until all ports of the stack do and exits 0. The
supervisor runs it as a child, because it must never load gRPC itself: a process that has, cannot
safely start others.
"""

import sys
import time
from typing import cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from riskgate.channel import Credentials, RunningStack, find_credentials

UNIX_PREFIX = "unix:"
_CALL_TIMEOUT_S = 1.0
_POLL_S = 0.1
_OPTIONS = (
    # Loopback and private addresses: a proxy from the environment has no business here.
    ("grpc.enable_http_proxy", 0),
    # A new port comes up within moments; the default back-off would wait whole seconds for it.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
)


def read_status(address: str, credentials: Credentials = "plaintext") -> str:
    """Return SERVING, NOT_SERVING, UNKNOWN, or the gRPC code name of a failed question."""
    with _open(address, credentials) as channel:
        return _ask(channel)


def wait_until_serving(stack: RunningStack, *, timeout_s: float) -> list[str]:
    """Wait for all ports; return those that do not serve at the end, with their status.

    Raises:
        CredentialsError: They want a certificate, and there is none that can be read.
    """
    deadline = time.monotonic() + timeout_s
    addresses = [*stack.decision, stack.control]
    credentials = stack.choose_credentials(addresses)
    waiting = {address: _open(address, credentials) for address in addresses}
    try:
        while True:
            status = {address: _ask(channel) for address, channel in waiting.items()}
            missing = [f"{name}: {text}" for name, text in status.items() if text != "SERVING"]
            if not missing or time.monotonic() >= deadline:
                return missing
            time.sleep(_POLL_S)
    finally:
        for channel in waiting.values():
            channel.close()


def _open(address: str, credentials: Credentials) -> grpc.Channel:
    # The socket of this account speaks plaintext beside a port with TLS.
    shown = "plaintext" if address.startswith(UNIX_PREFIX) else credentials
    found = find_credentials(address, shown)
    if found is None:
        return grpc.insecure_channel(address, options=_OPTIONS)
    return grpc.secure_channel(address, found, options=_OPTIONS)


def _ask(channel: grpc.Channel) -> str:
    stub = health_pb2_grpc.HealthStub(channel)
    try:
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=_CALL_TIMEOUT_S)
    except grpc.RpcError as error:
        # What a blocking call raises is a call as well; the stubs do not say so.
        return str(cast("grpc.Call", error).code().name)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


if __name__ == "__main__":
    left = wait_until_serving(RunningStack.read(sys.argv[2]), timeout_s=float(sys.argv[1]))
    sys.stderr.write("".join(f"{line}\n" for line in left))
    sys.exit(1 if left else 0)
