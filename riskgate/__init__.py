"""What a caller of Riskgate imports: clients, the one error, and the generated messages.

    import riskgate

    with riskgate.connect() as gate:
        answer = gate.decide(
            account_id="A", provider_id="channel_12345", provider_type="channel_source",
            symbol="EURUSD", side="buy", entry_price=1.1, stop_loss=1.098,
        )

An answer may be a denial. `NoDecisionError` means that no decision was made: do not trade.
"""

from riskgate.aio import AsyncClient
from riskgate.calls import Outcome, build_order_id
from riskgate.channel import StackNotFoundError
from riskgate.client import DEADLINE_S, Client
from riskgate.control import ControlClient
from riskgate.credentials import CredentialsError
from riskgate.errors import NoDecisionError
from riskgate.v1.decision_pb2 import (
    DecideRequest,
    DecideResponse,
    Directive,
    ExecutionReport,
    Position,
    SyncAccountRequest,
    WorkingOrder,
)

connect = Client.from_data_dir

__all__ = [
    "DEADLINE_S",
    "AsyncClient",
    "Client",
    "ControlClient",
    "CredentialsError",
    "DecideRequest",
    "DecideResponse",
    "Directive",
    "ExecutionReport",
    "NoDecisionError",
    "Outcome",
    "Position",
    "StackNotFoundError",
    "SyncAccountRequest",
    "WorkingOrder",
    "build_order_id",
    "connect",
]
