"""The content of `policy.json`: canonical JSON whose every number is in its range.

All numbers are finite and none is negative, so that a policy can never make an order larger than
its knots say nor a stop buffer smaller than nothing.
"""

import math
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from server.hotpath.layout import KNOTS_MAX
from server.loaders.manifest import VERSION_PATTERN
from server.policy import policy_row
from server.security.canonical import decode_canonical
from server.trust_errors import ArtifactPolicyInvalidError

MULTIPLIER_MAX = 1.5
K_MAX = 1e4
PIPS_MAX = 1e4


def _refuse_negative(value: float) -> float:
    # Minus zero too: it has a spelling of its own, which the record does not keep.
    if math.copysign(1, value) < 0:
        raise ValueError("must not be negative")
    return value


_Number = Annotated[float, AfterValidator(_refuse_negative)]
_Score = Annotated[_Number, Field(le=100)]
_Pips = Annotated[_Number, Field(le=PIPS_MAX)]
_K = Annotated[_Number, Field(le=K_MAX)]
_Knots = Field(min_length=1, max_length=KNOTS_MAX)
# A pair, written as a list: [score in points, value].
_Multiplier = tuple[_Score, Annotated[_Number, Field(le=MULTIPLIER_MAX)]]
_Quality = tuple[_Score, Annotated[_Number, Field(le=K_MAX)]]


class _PolicyDocument(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    version: str = Field(pattern=VERSION_PATTERN)
    multiplier: Annotated[list[Annotated[_Multiplier, Field(strict=False)]], _Knots]
    quality: Annotated[list[Annotated[_Quality, Field(strict=False)]], _Knots]
    k_slip: _K
    k_atr: _K
    slippage_cap_pips: _Pips
    slippage_floor_pips: _Pips
    buffer_min_pips: _Pips
    buffer_max_pips: _Pips | None
    score_weights: list[Annotated[_Number, Field(le=1)]] = Field(min_length=5, max_length=5)
    # Divisors: at least one millionth.
    score_drawdown_scale: float = Field(ge=1e-6, le=1)
    score_reward_risk_scale: float = Field(ge=1e-6, le=1e4)

    @model_validator(mode="after")
    def _check_bounds(self) -> "_PolicyDocument":
        if self.slippage_floor_pips > self.slippage_cap_pips:
            raise ValueError("slippage_floor_pips is above slippage_cap_pips")
        if self.buffer_max_pips is not None and self.buffer_min_pips > self.buffer_max_pips:
            raise ValueError("buffer_min_pips is above buffer_max_pips")
        return self


def parse_policy(raw: bytes) -> dict[str, Any]:
    """Parse the bytes of `policy.json`.

    Raises:
        ArtifactPolicyInvalidError: Not canonical JSON, a field is unknown, missing or out of range,
            knots do not rise, or weights do not sum to 1.
    """
    try:
        document: Any = decode_canonical(raw)
        _PolicyDocument.model_validate(document)
        # Knots and weights are judged as the engine has them, in millionths.
        policy_row(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "policy"
        raise ArtifactPolicyInvalidError(f"{place}: {first['msg']}") from error
    except (ValueError, OverflowError) as error:
        raise ArtifactPolicyInvalidError(f"the policy is refused: {error}") from error
    policy: dict[str, Any] = document
    return policy
