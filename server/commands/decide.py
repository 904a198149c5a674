"""`riskgate decide`: one question to the decision port, for people and scripts.

Exit code 0 for every decision, a denial included; 3 when no decision was made.
"""

import time
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from server.commands.options import AsJson, DataDir, print_json

if TYPE_CHECKING:
    from riskgate import DecideResponse

NO_DECISION_EXIT_CODE: Final = 3

Account = Annotated[str, typer.Option("--account", help="Account id.")]
Symbol = Annotated[str, typer.Option("--symbol", help="Symbol of the instrument.")]
Side = Annotated[str, typer.Option("--side", help="buy or sell.")]
Provider = Annotated[str | None, typer.Option("--provider", help="Provider of the signal.")]
ProviderType = Annotated[
    str | None, typer.Option("--provider-type", help="channel_source or user.")
]
Entry = Annotated[float | None, typer.Option("--entry", help="Expected entry price.")]
Stop = Annotated[float | None, typer.Option("--stop", help="Stop price.")]
TakeProfit = Annotated[float | None, typer.Option("--take-profit", help="Target price.")]
Atr = Annotated[float | None, typer.Option("--atr", help="Average true range, price units.")]
VolatilityIndex = Annotated[float | None, typer.Option("--volatility-index", help="0 to 100.")]
Lots = Annotated[
    float | None, typer.Option("--lots", help="Lots asked for; absent: what the risk pays for.")
]
OrderType = Annotated[
    str | None, typer.Option("--order-type", help="market, limit, stop or stop_limit.")
]
Exchange = Annotated[str | None, typer.Option("--exchange", help="Exchange to trade on.")]
Connection = Annotated[str | None, typer.Option("--connection", help="Informative.")]
ReduceOnly = Annotated[
    bool, typer.Option("--reduce-only", help="Only make a known position smaller.")
]
PositionId = Annotated[
    str | None, typer.Option("--position-id", help="Position that an exit reduces.")
]
OrderId = Annotated[
    str | None, typer.Option("--client-order-id", help="Id of the order; absent: a new one.")
]
MinStateVersion = Annotated[
    int | None, typer.Option("--min-state-version", min=0, help="State to wait for, 50 ms.")
]
Explain = Annotated[bool, typer.Option("--explain", help="Show every check.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Judge only, hold nothing.")]
DeadlineMs = Annotated[float, typer.Option("--deadline-ms", min=1, help="Longest wait.")]


def decide(
    account: Account,
    symbol: Symbol,
    side: Side,
    provider: Provider = None,
    provider_type: ProviderType = None,
    entry: Entry = None,
    stop: Stop = None,
    take_profit: TakeProfit = None,
    atr: Atr = None,
    volatility_index: VolatilityIndex = None,
    lots: Lots = None,
    order_type: OrderType = None,
    exchange: Exchange = None,
    connection: Connection = None,
    reduce_only: ReduceOnly = False,
    position_id: PositionId = None,
    client_order_id: OrderId = None,
    min_state_version: MinStateVersion = None,
    explain: Explain = False,
    dry_run: DryRun = False,
    deadline_ms: DeadlineMs = 1_000,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Ask whether an order may go, how large and with which stop."""
    import riskgate

    order_id = client_order_id or riskgate.build_order_id()
    started_s = time.perf_counter()
    try:
        with riskgate.connect(data_dir, deadline_s=deadline_ms / 1_000) as gate:
            answer = gate.decide(
                client_order_id=order_id,
                account_id=account,
                connection_id=connection,
                provider_id=provider,
                provider_type=provider_type,
                symbol=symbol,
                exchange=exchange,
                side=side,
                order_type=order_type,
                entry_price=entry,
                stop_loss=stop,
                take_profit=take_profit,
                requested_lots=lots,
                reduce_only=reduce_only,
                position_id=position_id,
                atr=atr,
                volatility_index=volatility_index,
                explain=explain,
                dry_run=dry_run,
                min_state_version=min_state_version,
            )
    except (riskgate.StackNotFoundError, riskgate.CredentialsError) as error:
        _refuse("UNAVAILABLE", "", str(error), as_json=as_json)
    except riskgate.NoDecisionError as error:
        _refuse(error.code.name, error.field, error.detail, as_json=as_json)
    elapsed_s = time.perf_counter() - started_s
    _show(answer, f"{symbol} {side}", order_id, elapsed_s, as_json=as_json)


def _show(
    answer: "DecideResponse",
    order: str,
    order_id: str,
    elapsed_s: float,
    *,
    as_json: bool,
) -> None:
    if as_json:
        from server.commands.message_view import view_message

        print_json({"client_order_id": order_id, **view_message(answer)})
    else:
        from server.commands.decision_view import show_decision

        show_decision(answer, order, order_id, elapsed_s)


def _refuse(code: str, field: str, detail: str, *, as_json: bool) -> NoReturn:
    if as_json:
        print_json({"decided": False, "code": code, "field": field, "message": detail})
    else:
        at_fault = f" ({field})" if field and field not in detail else ""
        typer.echo(f"no decision was made: do not trade\n{code}: {detail}{at_fault}", err=True)
    raise typer.Exit(NO_DECISION_EXIT_CODE)
