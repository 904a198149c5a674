"""SyncAccount from bytes to bytes, for whoever owns the engine: the event loop or the lane."""

from collections.abc import Callable

from riskgate.v1.decision_pb2 import RequestError, SyncAccountRequest
from server.engine import Engine
from server.hotpath.layout import words
from server.services import account_sync
from server.services.parse import parse
from server.services.refusal import NOT_YOURS, WRONG_SHARD, Refusal, refusal_of
from server.shards import WHOLE, Shard

# Address of a zero padded account id → whether the caller may use it.
AccountTest = Callable[[int], bool]


def sync_account(
    engine: Engine,
    raw: bytes,
    received_ns: int,
    shard: Shard = WHOLE,
    may_use: AccountTest = lambda _account: True,
) -> bytes | Refusal:
    """Replace an account's state by the broker's; returns the encoded differences.

    An account of another caller or engine is refused.

    Args:
        engine: Owned by the caller.
        raw: SyncAccountRequest.
        received_ns: When it came, Unix nanoseconds.
        shard: Which accounts are this engine's.
        may_use: In a replay everybody may use everything.

    Raises:
        RiskgateError: The request is wrong or names something unknown; nothing has changed.
    """
    message = parse(SyncAccountRequest, raw)
    account_id = account_sync.read_account_id(message)
    equity_micros = account_sync.read_equity(message)
    as_of_ns = account_sync.read_as_of(message, received_ns)
    positions = account_sync.read_positions(message)
    orders = account_sync.read_working_orders(message)
    account = words(account_id)  # lives until it was looked at
    if not may_use(account.ctypes.data):
        return NOT_YOURS
    if not shard.owns(account_id):
        return WRONG_SHARD
    differences = engine.sync(account_id, equity_micros, as_of_ns, positions, orders, received_ns)
    sequence = int(engine.state.engine[0]["sequence"])
    return account_sync.write_differences(differences, sequence).SerializeToString()


def try_sync_account(
    engine: Engine,
    raw: bytes,
    received_ns: int,
    shard: Shard = WHOLE,
    may_use: AccountTest = lambda _account: True,
) -> bytes | RequestError:
    """Do the same, with every failure as what the caller is told."""
    try:
        outcome = sync_account(engine, raw, received_ns, shard, may_use)
        return outcome.to_error() if isinstance(outcome, Refusal) else outcome
    except Exception as error:  # noqa: BLE001 - nothing unexpected may leave as it is
        return refusal_of(error).to_error()
