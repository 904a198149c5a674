"""Build single rows by hand."""

from datetime import UTC, datetime, timedelta

from trainer.rows import StopFill

START = datetime(2024, 3, 4, 8, 0, tzinfo=UTC)


def make_fill(
    number: int = 0, slippage_pips: float = 0.0, ts_minutes: int | None = None, **changes: object
) -> StopFill:
    values: dict[str, object] = {
        "provider_id": "p1",
        "provider_type": "channel_source",
        "trade_no": number,
        "symbol": "EURUSD",
        "side": "buy",
        "lots": 0.1,
        "ts": START + timedelta(minutes=number if ts_minutes is None else ts_minutes),
        "exit_reason": "sl",
        "ref_price": 1.1,
        "fill_price": 1.1,
        "pip_size": 0.0001,
        "slippage_pips": slippage_pips,
        **changes,
    }
    return StopFill(**values)  # type: ignore[arg-type]
