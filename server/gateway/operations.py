"""The operations of the gateway: path and verb as the origin has them, the method behind each.

What an operation may answer stands here as well, for the page that describes it.
"""

from dataclasses import dataclass
from typing import Final

CONFIGURATIONS: Final = "/api/risk/configurations"
BREAKERS: Final = "/api/risk/circuit-breakers"
_ONE: Final = BREAKERS + "/db/{breaker_id}"
RISK_SERVICE: Final = "/riskgate.v1.RiskConfigService/"
BREAKER_SERVICE: Final = "/riskgate.v1.BreakerService/"
HEALTH_METHOD: Final = "/grpc.health.v1.Health/Check"


@dataclass(frozen=True, slots=True)
class Operation:
    """One verb on one path.

    Attributes:
        name: What it is called in the description, and the endpoint that does it.
        verb: Of HTTP.
        path: With parameters in braces.
        method: Whose right is asked for; where there are two, that of reading first.
        summary: What it does.
        query: Names of its query parameters.
        required: Which of them must be given.
        body: Schema of its body; empty: it has none.
        answer: Schema of its answer.
        statuses: What it answers when it succeeds.
        refusals: What it may answer besides what every operation may.
    """

    name: str
    verb: str
    path: str
    method: str
    summary: str
    answer: str
    query: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    body: str = ""
    statuses: tuple[int, ...] = (200,)
    refusals: tuple[int, ...] = ()

    @property
    def mutates(self) -> bool:
        """Whether it changes something, and so needs a reason."""
        return self.verb != "GET"


# Body: 400, 413, 415. Another entry in the way: 409. Nothing of that id: 404.
_BODY: Final = (400, 409, 413, 415)
_PAGE: Final = ("limit", "page_token")

OPERATIONS: Final = (
    Operation(
        *("list_configurations", "GET", CONFIGURATIONS, RISK_SERVICE + "ListRiskConfigurations"),
        "Get all risk configurations, of one account where account_id is given.",
        "RiskConfigurations",
        query=("account_id", *_PAGE),
    ),
    Operation(
        *("save_configuration", "POST", CONFIGURATIONS, RISK_SERVICE + "CreateRiskConfiguration"),
        "Save a risk configuration: create it, or replace the account's one of this config_id.",
        "RiskConfigurationRow",
        body="RiskConfiguration",
        statuses=(200, 201),
        refusals=(*_BODY, 404),
    ),
    Operation(
        *("get_configuration", "GET", CONFIGURATIONS + "/{config_id}"),
        *(
            RISK_SERVICE + "GetRiskConfiguration",
            "Load a risk configuration.",
            "RiskConfigurationRow",
        ),
        query=("account_id",),
        required=("account_id",),
        refusals=(404,),
    ),
    Operation(
        *("list_breakers", "GET", BREAKERS + "/all", BREAKER_SERVICE + "ListBreakers"),
        "Get all circuit breakers, of one account where account_id is given.",
        "CircuitBreakers",
        query=("account_id", *_PAGE),
    ),
    Operation(
        *("create_breaker", "POST", BREAKERS + "/db", BREAKER_SERVICE + "CreateBreaker"),
        *("Create a circuit breaker.", "CircuitBreakerRow"),
        body="CircuitBreaker",
        statuses=(201,),
        refusals=_BODY,
    ),
    Operation(
        *("update_breaker", "PUT", _ONE, BREAKER_SERVICE + "UpdateBreaker"),
        *("Update a circuit breaker: every field is replaced.", "CircuitBreakerRow"),
        body="CircuitBreaker",
        refusals=(*_BODY, 404),
    ),
    Operation(
        *("delete_breaker", "DELETE", _ONE, BREAKER_SERVICE + "DeleteBreaker"),
        *("Delete a circuit breaker with its events.", "Deleted"),
        refusals=(404, 413),
    ),
    Operation(
        *("enable_breaker", "PUT", _ONE + "/enable", BREAKER_SERVICE + "EnableBreaker"),
        *("Enable a circuit breaker.", "CircuitBreakerRow"),
        refusals=(404, 409, 413),
    ),
    Operation(
        *("disable_breaker", "PUT", _ONE + "/disable", BREAKER_SERVICE + "DisableBreaker"),
        *("Disable a circuit breaker.", "CircuitBreakerRow"),
        refusals=(404, 409, 413),
    ),
    Operation(
        *("list_events", "GET", _ONE + "/events", BREAKER_SERVICE + "ListBreakerEvents"),
        *("Get circuit breaker events, newest first.", "CircuitBreakerEvents"),
        query=_PAGE,
    ),
    Operation(
        *("check_health", "GET", "/healthz", HEALTH_METHOD),
        *("Tell whether the record and the feed of the engines are in order.", "Health"),
    ),
)
