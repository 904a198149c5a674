"""The ASGI application: a route for each operation, its description, and one form of refusal."""

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from server.errors import RiskgateError
from server.gateway.answers import refusal
from server.gateway.endpoints import Backend, Endpoints
from server.gateway.openapi import (
    component_schemas,
    describe_answers,
    describe_request,
    security_schemes,
)
from server.gateway.operations import OPERATIONS
from server.gateway.origins import OriginGuard
from server.gateway.page import render_page

_TITLE: Final = "Riskgate"
_VERSION: Final = "1"
_ABOUT: Final = (
    "Risk configurations and circuit breakers over HTTP/JSON. Each operation stands for a method "
    "of the control port, with the same identity, rights, rate limit and audit. Names, units and "
    "ranges are those of the messages in protos/riskgate/v1."
)
# Of what is refused before it has reached an operation.
_CODES: Final = {
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.METHOD_NOT_ALLOWED: "UNIMPLEMENTED",
}


def build_application(backend: Backend, names: frozenset[str]) -> ASGIApp:
    """Return the application.

    Args:
        backend: What it shares with the control port.
        names: Host names that callers may use.
    """
    application = FastAPI(
        docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, title=_TITLE
    )
    endpoints = Endpoints(backend)
    for operation in OPERATIONS:
        application.add_api_route(
            operation.path.replace("{config_id}", "{config_id:path}"),
            getattr(endpoints, operation.name),
            methods=[operation.verb],
            name=operation.name,
            operation_id=operation.name,
            summary=operation.summary,
            response_class=JSONResponse,
            response_model=None,
            status_code=operation.statuses[0],
            responses=describe_answers(operation),
            openapi_extra=describe_request(operation),
        )
    document = _describe(application)
    page = render_page(document)

    async def show_document(_: Request) -> Response:
        return JSONResponse(document)

    async def show_page(_: Request) -> Response:
        return HTMLResponse(page)

    application.add_route("/openapi.json", show_document, include_in_schema=False)
    application.add_route("/docs", show_page, include_in_schema=False)
    application.add_exception_handler(HTTPException, _refuse_route)
    for kind in (RiskgateError, ValidationError, Exception):
        application.add_exception_handler(kind, _refuse)
    return OriginGuard(application, names)


def _describe(application: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=_TITLE, version=_VERSION, description=_ABOUT, routes=application.routes
    )
    document["components"] = {
        "schemas": component_schemas(),
        "securitySchemes": security_schemes(),
    }
    return document


async def _refuse(request: Request, error: Exception) -> Response:
    return refusal(error, request.scope["path"])


async def _refuse_route(request: Request, error: Any) -> Response:
    status = HTTPStatus(error.status_code)
    headers = dict(error.headers or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        # The router names the verbs of the first route of the path only.
        verbs = {
            verb
            for route in request.app.routes
            if isinstance(route, Route) and route.path_regex.match(request.scope["path"])
            for verb in route.methods or ()
        }
        headers["Allow"] = ", ".join(sorted(verbs))
    code = _CODES.get(status, "INVALID_ARGUMENT")
    content = {"code": code, "message": status.phrase.lower(), "field": ""}
    return JSONResponse(content, status, headers)
