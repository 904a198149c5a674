"""What the market and the instrument forbid: restriction, trading hours, quote, price collars."""

from __future__ import annotations

from typing import Any

from server.hotpath.jit import kernel


@kernel
def check_instrument_nb(state: Any) -> None:
    """Deny what is restricted, closed, or priced too far from the market."""
