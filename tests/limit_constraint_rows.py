"""Rows of limits, trading hours and breakers: all that may be said, and what is refused."""

from typing import Any

_HOURS: dict[str, Any] = {"hours_timezone": "UTC"}
_EXPRESSION: dict[str, Any] = {
    "condition": "expression",
    "threshold": None,
    "expression": "drawdown > 0.1",
}
_PROVIDER = '{"provider_id": "7", "provider_type": "user"}'

# Good rows that say everything that may be said.
FULL: list[tuple[str, dict[str, Any]]] = [
    (
        "instrument",
        {
            **_HOURS,
            "restricted": True,
            "collar_fraction": "0.000001",
            "collar_window_fraction": "1",
            "collar_window_ms": 86_400_000,
            "hours_open_minutes": [0, 720, 8_640],
            "hours_close_minutes": [720, 1_440, 10_080],
        },
    ),
    (
        "risk_configuration",
        {
            **dict.fromkeys(("max_order_value", "max_order_lots", "max_notional"), "1e12"),
            **dict.fromkeys(("max_long_lots", "max_short_lots"), "0.000001"),
            "max_strategy_notional": "5",
            "message_limit": 1,
            "message_window_ms": 86_400_000,
            "repeat_limit": 1_000_000,
            "repeat_window_ms": 31_536_000_000,
            "duplicate_window_ms": 1,
            "saved_breakers": "[]",
            "breakers_saved_at": "now",
        },
    ),
    ("symbol_risk_configuration", {"restricted": True, "max_order_lots": "0.5"}),
    (
        "circuit_breaker",
        {
            **_EXPRESSION,
            "half_open_minutes": 525_600,
            "lock_after_trips": 1_000,
            "providers": f"[{_PROVIDER}]",
            "strategies": ["s"] * 8,
            "reset_at": "now",
        },
    ),
]

LIMITS_BAD: list[tuple[str, dict[str, Any]]] = [
    ("instrument", {"collar_fraction": "0"}),
    ("instrument", {"collar_fraction": "1.01"}),
    ("instrument", {"collar_fraction": "0.0000001"}),
    ("instrument", {"collar_window_fraction": "0.1"}),
    ("instrument", {"collar_window_ms": 1_000}),
    ("instrument", {"collar_window_fraction": "0.1", "collar_window_ms": 0}),
    ("instrument", {"collar_window_fraction": "0.1", "collar_window_ms": 86_400_001}),
    ("instrument", _HOURS),
    ("instrument", {"hours_open_minutes": [0], "hours_close_minutes": [1]}),
    ("instrument", _HOURS | {"hours_open_minutes": [0]}),
    ("instrument", _HOURS | {"hours_open_minutes": [5], "hours_close_minutes": [5]}),
    ("instrument", _HOURS | {"hours_open_minutes": [-1], "hours_close_minutes": [5]}),
    ("instrument", _HOURS | {"hours_open_minutes": [0], "hours_close_minutes": [1_441]}),
    ("instrument", _HOURS | {"hours_open_minutes": [10_079], "hours_close_minutes": [10_081]}),
    ("instrument", _HOURS | {"hours_open_minutes": [9, 0], "hours_close_minutes": [10, 1]}),
    ("instrument", _HOURS | {"hours_open_minutes": [0, 5], "hours_close_minutes": [6, 9]}),
    ("instrument", _HOURS | {"hours_open_minutes": [None], "hours_close_minutes": [9]}),
    (
        "instrument",
        _HOURS
        | {
            "hours_open_minutes": list(range(0, 30, 2)),
            "hours_close_minutes": list(range(1, 31, 2)),
        },
    ),
    *(
        ("risk_configuration", {name: value})
        for name in (
            *("max_order_value", "max_order_lots", "max_notional"),
            *("max_long_lots", "max_short_lots", "max_strategy_notional"),
        )
        for value in ("0", "-1", "1000000000000.1", "0.0000001", "NaN")
    ),
    ("risk_configuration", {"message_limit": 5}),
    ("risk_configuration", {"message_window_ms": 5}),
    ("risk_configuration", {"message_limit": 0, "message_window_ms": 5}),
    ("risk_configuration", {"message_limit": 5, "message_window_ms": 86_400_001}),
    ("risk_configuration", {"repeat_limit": 0}),
    ("risk_configuration", {"repeat_window_ms": 5}),
    ("risk_configuration", {"repeat_limit": 5, "repeat_window_ms": 0}),
    ("risk_configuration", {"duplicate_window_ms": 0}),
    ("risk_configuration", {"duplicate_window_ms": 86_400_001}),
    ("risk_configuration", {"saved_breakers": "[]"}),
    ("risk_configuration", {"saved_breakers": "{}", "breakers_saved_at": "now"}),
    *(
        ("symbol_risk_configuration", {name: value})
        for name in ("max_order_value", "max_order_lots", "max_long_lots", "max_short_lots")
        for value in ("0", "NaN")
    ),
    ("symbol_risk_configuration", {"restricted": None}),
    ("circuit_breaker", {"threshold": None}),
    ("circuit_breaker", {"expression": "drawdown > 0.1"}),
    ("circuit_breaker", _EXPRESSION | {"expression": ""}),
    ("circuit_breaker", _EXPRESSION | {"threshold": "0.1"}),
    ("circuit_breaker", _EXPRESSION | {"expression": "x" * 1_025}),
    ("circuit_breaker", {"half_open_minutes": 0}),
    ("circuit_breaker", {"half_open_minutes": 525_601}),
    ("circuit_breaker", {"lock_after_trips": 0}),
    ("circuit_breaker", {"lock_after_trips": 1_001}),
    ("circuit_breaker", {"providers": "[]"}),
    ("circuit_breaker", {"providers": "{}"}),
    ("circuit_breaker", {"providers": f"[{', '.join([_PROVIDER] * 9)}]"}),
    ("circuit_breaker", {"strategies": []}),
    ("circuit_breaker", {"strategies": ["s"] * 9}),
    ("strategy_enabling", {"account_id": "nobody"}),
    ("strategy_enabling", {"strategy_id": ""}),
    ("strategy_enabling", {"enabled_at": None}),
]
