"""Caps on one order, on the account's notional, on long, short and strategy positions."""

from __future__ import annotations

from typing import Any

from server.hotpath.jit import kernel


@kernel
def apply_order_caps_nb(state: Any) -> None:
    """Run the caps of the order's own value and volume and of what it adds to."""
