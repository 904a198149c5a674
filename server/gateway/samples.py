"""Bodies for the description: the samples with which the origin of the record shows its use."""

from typing import Any, Final

CONFIGURATION: Final[dict[str, Any]] = {
    "config_id": "low_risk",
    "account_id": "account123",
    "position_max_drawdown_percentage": 3.0,
    "position_trailing_stop_multiplier": 1.5,
    "daily_max_drawdown_percentage": 2.0,
    "weekly_max_drawdown_percentage": 5.0,
    "monthly_max_drawdown_percentage": 10.0,
    "max_position_size_percentage": 5.0,
    "max_correlated_exposure_percentage": 10.0,
    "risk_per_trade_percentage": 0.5,
    "volatility_adjustment_factor": 0.8,
    "market_regime_thresholds": {},
    "cooling_off_period_minutes": 120,
    "consecutive_loss_threshold": 2,
    "is_active": True,
    "symbol_configs": [
        {
            "symbol": "BTCUSDT",
            "max_position_size_percentage": 3.0,
            "max_leverage": 5,
            "position_max_drawdown_percentage": 2.0,
            "risk_per_trade_percentage": 0.3,
        }
    ],
}
BREAKER: Final[dict[str, Any]] = {
    "name": "max_drawdown_10_percent",
    "description": "Close position when drawdown exceeds 10%",
    "account_id": "account123",
    "condition": "max_drawdown",
    "action": "close_position",
    "parameters": {"threshold": 0.1},
    "symbols": ["BTCUSDT", "ETHUSDT"],
    "exchanges": ["binance"],
    "enabled": True,
}
