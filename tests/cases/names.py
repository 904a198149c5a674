"""Who and what the random world knows by name."""

from typing import Any, Final, NamedTuple

import numpy as np

from server.hotpath.layout import MICROS, words

Array = np.ndarray[Any, np.dtype[Any]]


class Mood(NamedTuple):
    """What one world is like: with every control on at once hardly an order would pass."""

    extreme: bool  # numbers reach for the ends of their ranges
    crowded: bool  # more breakers than an answer lists
    mild: bool  # few of the limits on size are set
    flow: bool  # limits on strategies, rate and content
    orders: bool  # limits on single orders and one-sided positions
    collars: bool
    hours: bool
    kills: bool
    breakers: bool  # also such as stop an order


def mood_of(seed: int) -> Mood:
    """Draw the mood of a world; in every sixth one everything is on."""
    if seed % 6 == 1:
        return Mood(False, False, False, *(True,) * 6)
    draws = (np.random.default_rng([seed, 1]).random(7) < 0.5).tolist()
    return Mood(seed % 6 == 5, seed % 8 == 2, *draws)


class Holder(NamedTuple):
    """One account of the world."""

    name: str
    currency: str
    timezone: str
    equity_micros: int


ACCOUNTS: Final = (
    Holder("usd", "USD", "Etc/UTC", 10_000 * MICROS),
    Holder("eur", "EUR", "Europe/Berlin", 250_000 * MICROS),
    Holder("jpy", "JPY", "Asia/Tokyo", 5_000_000 * MICROS),
    Holder("whale", "USD", "Etc/UTC", 10**12 * MICROS),
)
ACCOUNT_NAMES: Final = tuple(holder.name for holder in ACCOUNTS)
PROVIDERS: Final = (("alpha", 1), ("beta", 2), ("gamma", 1), ("delta", 2))
STRATEGIES: Final = ("trend", "revert", "news", "carry", "grid", "arb")
IDENTITIES: Final = ("router-1", "router-2", "desk")
# Time zones whose days are real ones, 23 to 25 hours long; the last one never has a window.
HOURS_ZONES: Final = ("Hours/One", "Hours/Two", "Hours/None")


def words_of(names: tuple[str, ...]) -> Array:
    """Return the words of ids, the empty one last."""
    return np.stack([words(name) for name in (*names, "")])
