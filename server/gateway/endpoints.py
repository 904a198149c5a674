"""One endpoint for each operation: reads the request, calls the service, writes the row.

Every call goes through `_perform`, so that none is answered that was not judged.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from starlette.requests import Request
from starlette.responses import Response

from riskgate.v1 import breaker_pb2, risk_config_pb2
from server.errors import InvalidFieldError, NotFoundError
from server.forms import fields
from server.forms.plain_values import M, read_plain
from server.gateway import requests
from server.gateway.answers import answer, breaker_row, configuration_row, event_row
from server.gateway.identity import RequestContext
from server.gateway.operations import BREAKER_SERVICE, HEALTH_METHOD, RISK_SERVICE
from server.services.access import Admission, finish
from server.services.access_checks import Visit
from server.services.breaker import BreakerService
from server.services.risk_config import RiskConfigService

NEXT_PAGE: Final = "X-Next-Page-Token"
STATE_VERSION: Final = "X-State-Version"
# What the record says of a row, not its writer: an answer may be sent back as it came.
_ANSWERED: Final = ("id", "version", "created_at", "updated_at")

Read = Callable[[Request], Awaitable[Any]]
Behaviour = Callable[[Any, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Backend:
    """What the gateway shares with the control port.

    Attributes:
        admission: Judges every call.
        risk_configurations: Their service.
        breakers: Their service.
        health: Answers about health.
    """

    admission: Admission
    risk_configurations: RiskConfigService
    breakers: BreakerService
    health: Any


class Endpoints:
    """What the paths do; a method's name is that of its operation."""

    def __init__(self, backend: Backend) -> None:
        self._admission = backend.admission
        self._risk = backend.risk_configurations
        self._breakers = backend.breakers
        self._health = backend.health

    async def list_configurations(self, request: Request) -> Response:
        """Answer a page of rows."""
        page = await self._perform(
            request,
            RISK_SERVICE + "ListRiskConfigurations",
            _reader_of_page(risk_config_pb2.ListRiskConfigurationsRequest),
            self._risk.ListRiskConfigurations,
        )
        return _page(map(configuration_row, page.configurations), page)

    async def get_configuration(self, request: Request) -> Response:
        """Answer one row."""

        async def read(request: Request) -> risk_config_pb2.GetRiskConfigurationRequest:
            return risk_config_pb2.GetRiskConfigurationRequest(
                config_id=request.path_params["config_id"],
                **requests.read_query(request, "account_id"),
            )

        found = await self._perform(
            request, RISK_SERVICE + "GetRiskConfiguration", read, self._risk.GetRiskConfiguration
        )
        return _configuration(found)

    async def save_configuration(self, request: Request) -> Response:
        """Create a configuration, or replace the account's one of this config_id.

        It is looked for inside the call that would create it; an update is a second call.
        """
        update = risk_config_pb2.UpdateRiskConfigurationRequest()

        async def read(request: Request) -> risk_config_pb2.CreateRiskConfigurationRequest:
            requests.read_query(request)
            content = await requests.read_object(request)
            expected = requests.take_expected_version(request, content)
            row = _read_row(risk_config_pb2.RiskConfiguration(), content)
            note = requests.read_note(request)
            update.MergeFrom(
                risk_config_pb2.UpdateRiskConfigurationRequest(
                    configuration=row, expected_version=expected, note=note
                )
            )
            return risk_config_pb2.CreateRiskConfigurationRequest(configuration=row, note=note)

        async def create(message: Any, context: Any) -> Any:
            if update.HasField("expected_version"):
                return None
            row = message.configuration
            key = risk_config_pb2.GetRiskConfigurationRequest(
                config_id=row.config_id, account_id=row.account_id
            )
            try:
                await self._risk.GetRiskConfiguration(key, context)
            except NotFoundError:
                return await self._risk.CreateRiskConfiguration(message, context)
            return None

        async def keep(_: Request) -> Any:
            return update

        created = await self._perform(
            request, RISK_SERVICE + "CreateRiskConfiguration", read, create
        )
        if created is not None:
            return _configuration(created, status=201)
        updated = await self._perform(
            request,
            RISK_SERVICE + "UpdateRiskConfiguration",
            keep,
            self._risk.UpdateRiskConfiguration,
        )
        return _configuration(updated)

    async def list_breakers(self, request: Request) -> Response:
        """Answer a page of rows."""
        page = await self._perform(
            request,
            BREAKER_SERVICE + "ListBreakers",
            _reader_of_page(breaker_pb2.ListBreakersRequest),
            self._breakers.ListBreakers,
        )
        return _page(map(breaker_row, page.breakers), page)

    async def create_breaker(self, request: Request) -> Response:
        """Answer the new row."""

        async def read(request: Request) -> breaker_pb2.CreateBreakerRequest:
            requests.read_query(request)
            requests.refuse_condition(request)
            content = await requests.read_object(request)
            if requests.take_expected_version(request, content) is not None:
                raise InvalidFieldError(requests.EXPECTED_VERSION, "is not for a new breaker")
            row = _read_row(breaker_pb2.CircuitBreaker(), content)
            if row.breaker_id:
                raise InvalidFieldError("breaker_id", "is chosen by the record")
            return breaker_pb2.CreateBreakerRequest(breaker=row, note=requests.read_note(request))

        created = await self._perform(
            request, BREAKER_SERVICE + "CreateBreaker", read, self._breakers.CreateBreaker
        )
        return _breaker(created, status=201)

    async def update_breaker(self, request: Request) -> Response:
        """Answer the changed row."""

        async def read(request: Request) -> breaker_pb2.UpdateBreakerRequest:
            requests.read_query(request)
            content = await requests.read_object(request)
            expected = requests.take_expected_version(request, content)
            row = _read_row(breaker_pb2.CircuitBreaker(), content)
            breaker_id = request.path_params["breaker_id"]
            if row.breaker_id not in {"", breaker_id}:
                raise InvalidFieldError("breaker_id", "is not that of the path")
            row.breaker_id = breaker_id
            return breaker_pb2.UpdateBreakerRequest(
                breaker=row, expected_version=expected, note=requests.read_note(request)
            )

        updated = await self._perform(
            request, BREAKER_SERVICE + "UpdateBreaker", read, self._breakers.UpdateBreaker
        )
        return _breaker(updated)

    async def delete_breaker(self, request: Request) -> Response:
        """Answer what is gone."""
        read = _reader_of_breaker(breaker_pb2.DeleteBreakerRequest)
        deleted = await self._perform(
            request, BREAKER_SERVICE + "DeleteBreaker", read, self._breakers.DeleteBreaker
        )
        breaker_id = request.path_params["breaker_id"]
        gone = {"id": int(breaker_id), "breaker_id": breaker_id}
        return answer(gone, headers=_headers(deleted))

    async def enable_breaker(self, request: Request) -> Response:
        """Answer the row, changed or not."""
        read = _reader_of_breaker(breaker_pb2.EnableBreakerRequest)
        method = BREAKER_SERVICE + "EnableBreaker"
        return _breaker(await self._perform(request, method, read, self._breakers.EnableBreaker))

    async def disable_breaker(self, request: Request) -> Response:
        """Answer the row, changed or not."""
        read = _reader_of_breaker(breaker_pb2.DisableBreakerRequest)
        method = BREAKER_SERVICE + "DisableBreaker"
        return _breaker(await self._perform(request, method, read, self._breakers.DisableBreaker))

    async def list_events(self, request: Request) -> Response:
        """Answer a page of trips."""

        async def read(request: Request) -> breaker_pb2.ListBreakerEventsRequest:
            said = requests.read_query(request, "limit", "page_token")
            return breaker_pb2.ListBreakerEventsRequest(
                breaker_id=request.path_params["breaker_id"],
                page_size=requests.read_limit(said["limit"]),
                page_token=said["page_token"],
            )

        page = await self._perform(
            request, BREAKER_SERVICE + "ListBreakerEvents", read, self._breakers.ListBreakerEvents
        )
        return _page(map(event_row, page.events), page)

    async def check_health(self, request: Request) -> Response:
        """Answer 200 while the control process serves, 503 while it does not."""

        async def read(request: Request) -> health_pb2.HealthCheckRequest:
            requests.read_query(request)
            return health_pb2.HealthCheckRequest()

        found = await self._perform(request, HEALTH_METHOD, read, self._health.Check)
        is_well = found.status == health_pb2.HealthCheckResponse.SERVING
        content = {"status": health_pb2.HealthCheckResponse.ServingStatus.Name(found.status)}
        return answer(content, status=200 if is_well else 503)

    async def _perform(self, request: Request, method: str, read: Read, behave: Behaviour) -> Any:
        """Do one call of the contract as the control port does; a change goes on to its end."""
        context = RequestContext(request)

        async def judged() -> Any:
            visit = Visit(method)
            async with self._admission.judged(visit, context):
                message = await read(request)
                await self._admission.checks.require(visit, message, context)
                return await behave(message, context)

        if self._admission.checks.mutates(method):
            return await finish(judged())
        return await judged()


def _reader_of_page(message_class: type[Message]) -> Read:
    async def read(request: Request) -> Message:
        said = requests.read_query(request, "account_id", "limit", "page_token")
        account_id = fields.label(
            said["account_id"], "account_id", bytes_max=fields.ID_BYTES_MAX, required=False
        )
        return message_class(
            account_id=account_id,
            page_size=requests.read_limit(said["limit"]) or requests.LIMIT_MAX,
            page_token=said["page_token"],
        )

    return read


def _reader_of_breaker(message_class: type[Message]) -> Read:
    """Return a reader of what names a breaker in its path and has nothing else to say."""

    async def read(request: Request) -> Message:
        requests.read_query(request)
        requests.refuse_condition(request)
        await requests.require_no_body(request)
        return message_class(
            breaker_id=request.path_params["breaker_id"], note=requests.read_note(request)
        )

    return read


def _read_row(message: M, content: dict[str, Any]) -> M:
    said = {name: value for name, value in content.items() if name not in _ANSWERED}
    return read_plain(message, said)


def _configuration(found: Any, *, status: int = 200) -> Response:
    row = found.configuration
    return answer(
        configuration_row(row), status=status, version=row.version, headers=_headers(found)
    )


def _breaker(found: Any, *, status: int = 200) -> Response:
    row = found.breaker
    return answer(breaker_row(row), status=status, version=row.version, headers=_headers(found))


def _page(rows: Any, page: Any) -> Response:
    token = page.next_page_token
    return answer(list(rows), headers={NEXT_PAGE: token} if token else {})


def _headers(found: Any) -> dict[str, str]:
    version = getattr(found, "state_version", 0)
    return {STATE_VERSION: str(version)} if version else {}
