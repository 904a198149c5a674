"""How often orders come: message rate, repeated execution, the same order twice."""

from __future__ import annotations

from typing import Any

from server.hotpath.jit import kernel


@kernel
def check_flow_nb(state: Any) -> None:
    """Deny an order that comes too often or again."""


@kernel
def count_order_nb(state: Any) -> None:
    """Count an order that was let through."""
