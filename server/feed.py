"""The shared hot state in Redis: names, form and how to read it without missing anything.

Redis is outside: every change that stands in it carries the seal of control (`feed_seal.py`), and
what does not is dropped.

- `riskgate:state` (hash): `<kind number>:<key>` -> sealed StateChange of the entity as it
  stands; a deleted entity stays as a change with empty rows, so that a late reader deletes it
  too.
- `riskgate:changes` (stream): one entry per change, in order, with the fields `generation`,
  `version`, `change`. Admin changes carry versions that rise by one; market data and heartbeats
  carry version 0.
- `riskgate:version`: newest admin version in hash and stream. `riskgate:layout`: layout version
  of all rows.
- `riskgate:generation`: Unix nanoseconds of the last rebuild, always rising. Entries of another
  generation than the one a reader loaded are a reason to load anew, never to apply.
- `riskgate:epoch:<shard>`: the highest epoch that an engine of the shard (I/N) has named; an
  engine with a lower one does not answer any more.
- `riskgate:journal:<shard>` (stream): the journal's entries for a standby on another machine, by
  their numbers; beside it `…:newest`, the newest number there is, and `…:taken`, the newest that
  the standby has.
- `riskgate:doubt`: set by a reader that found the hash wanting; the publisher builds it anew.
- `riskgate:market` (hash): `<kind>:<key>` -> time of the newest measurement, 20 digits, so that
  text order is time order.

A reader notes the last stream id, reads generation and version, loads the hash in the order of
`KIND_ORDER`, then follows the stream from the noted id: an entry not newer than what it has is
skipped, a gap in versions or a new generation means load anew. Heartbeats carry the newest
published version, so a quiet stream proves itself complete.
"""

from typing import Final

from riskgate.v1 import state_pb2

STATE_KEY: Final = "riskgate:state"
STREAM_KEY: Final = "riskgate:changes"
VERSION_KEY: Final = "riskgate:version"
GENERATION_KEY: Final = "riskgate:generation"
LAYOUT_KEY: Final = "riskgate:layout"
MARKET_KEY: Final = "riskgate:market"
# A reader found the hash wanting: the publisher builds it anew.
DOUBT_KEY: Final = "riskgate:doubt"

# Names inside a stream entry.
FIELD_GENERATION: Final = "generation"
FIELD_VERSION: Final = "version"
FIELD_CHANGE: Final = "change"

# Entries kept in the stream; a reader further behind than this loads anew.
STREAM_LENGTH_MAX: Final = 100_000

# Kinds that are kept in the record, in the order in which they can be applied.
KIND_ORDER: Final = (
    state_pb2.CHANGE_KIND_KILL,
    state_pb2.CHANGE_KIND_POLICY,
    state_pb2.CHANGE_KIND_INSTRUMENT,
    state_pb2.CHANGE_KIND_ACCOUNT,
    state_pb2.CHANGE_KIND_CONVERSION_RATE,
    state_pb2.CHANGE_KIND_RISK_CONFIGURATION,
    state_pb2.CHANGE_KIND_PROVIDER,
    state_pb2.CHANGE_KIND_BREAKER,
    state_pb2.CHANGE_KIND_MARKET,
    state_pb2.CHANGE_KIND_MODEL,
    state_pb2.CHANGE_KIND_IDENTITY,
    state_pb2.CHANGE_KIND_STRATEGY,
    state_pb2.CHANGE_KIND_BREAKER_RESET,
)


def state_field(kind: int, key: str) -> str:
    """Return the field of the state hash that holds an entity."""
    return f"{kind}:{key}"


def account_key(account_id: str) -> str:
    """Return the key of an account, and of its active risk configuration."""
    return account_id


def strategy_key(account_id: str, strategy_id: str) -> str:
    """Return the key of a strategy of an account; ids are printable, so neither holds a tab."""
    return f"{account_id}\t{strategy_id}"


def split_strategy_key(key: str) -> tuple[str, str]:
    """Return account and strategy of a key."""
    account_id, _, strategy_id = key.partition("\t")
    return account_id, strategy_id


def provider_key(provider_id: str, provider_type: str) -> str:
    """Return the key of a provider; the type has no colon, so no two providers share a key."""
    return f"{provider_type}:{provider_id}"


def epoch_key(shard: str) -> str:
    """Return where the epoch of a shard (I/N) stands."""
    return f"riskgate:epoch:{shard}"


def journal_keys(shard: str) -> tuple[str, str, str]:
    """Return the names of a shard's stream of journal entries, and of its two marks."""
    stream = f"riskgate:journal:{shard}"
    return stream, f"{stream}:newest", f"{stream}:taken"


def market_key(symbol: str, part: str) -> str:
    """Return the key of one measured part of a symbol: atr, volatility, quote or regime."""
    return f"{symbol}/{part}"


def conversion_rate_key(from_currency: str, to_currency: str) -> str:
    """Return the key of a conversion rate."""
    return f"{from_currency}/{to_currency}"
