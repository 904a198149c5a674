"""Parse `encodings.json`, the provider and symbol statistics that a model takes as inputs.

The result is complete and free of ambiguity: the global level exists, no key repeats, every id fits
the engine's fixed-width keys, and every number is a sane count of pips.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.hotpath.encoding_index import pack_text
from server.hotpath.lowered import (
    PROVIDER_TYPE_ANY,
    PROVIDER_TYPE_CHANNEL_SOURCE,
    PROVIDER_TYPE_USER,
    EncodingLevel,
)
from server.hotpath.model_tables import ENCODING_LEVELS_MAX
from server.security.canonical import decode_canonical
from server.trust_errors import ArtifactEncodingsInvalidError

ENCODING_PIPS_MAX = 1_000_000.0

_PROVIDER_TYPES = {
    "": PROVIDER_TYPE_ANY,
    "channel_source": PROVIDER_TYPE_CHANNEL_SOURCE,
    "user": PROVIDER_TYPE_USER,
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class _Level(_Strict):
    provider_id: str
    provider_type: Literal["", "channel_source", "user"]
    symbol: str
    q50_pips: float = Field(ge=-ENCODING_PIPS_MAX, le=ENCODING_PIPS_MAX)
    q90_pips: float = Field(ge=-ENCODING_PIPS_MAX, le=ENCODING_PIPS_MAX)


class _EncodingsFile(_Strict):
    levels: list[_Level] = Field(min_length=1, max_length=ENCODING_LEVELS_MAX)


def parse_encodings(raw: bytes) -> tuple[EncodingLevel, ...]:
    """Parse the bytes of `encodings.json`.

    Raises:
        ArtifactEncodingsInvalidError: Malformed, a repeated key, an id that is too long, no global
            level.
    """
    try:
        parsed = _EncodingsFile.model_validate(decode_canonical(raw))
    except (ValidationError, ValueError) as error:
        raise ArtifactEncodingsInvalidError("the encodings are not well formed") from error
    levels = tuple(_convert_level(level) for level in parsed.levels)
    keys = {(level.provider_id, level.provider_type, level.symbol) for level in levels}
    if len(keys) != len(levels):
        raise ArtifactEncodingsInvalidError("a provider and symbol occur twice")
    if ("", PROVIDER_TYPE_ANY, "") not in keys:
        raise ArtifactEncodingsInvalidError("the level for any provider and symbol is missing")
    return levels


def _convert_level(level: _Level) -> EncodingLevel:
    if (level.provider_id == "") != (level.provider_type == ""):
        raise ArtifactEncodingsInvalidError("a provider type without a provider, or the reverse")
    try:
        pack_text(level.provider_id, 8)
        pack_text(level.symbol, 4)
    except ValueError as error:
        raise ArtifactEncodingsInvalidError("a provider id or symbol does not fit") from error
    return EncodingLevel(
        provider_id=level.provider_id,
        provider_type=_PROVIDER_TYPES[level.provider_type],
        symbol=level.symbol,
        q50_pips=level.q50_pips,
        q90_pips=level.q90_pips,
    )
