"""The description of the gateway: OpenAPI 3.1, with the rows taken from the contract's messages.

A new field of a message is in it without a change here. Ranges are the control port's business and
stand in the contract; here stand names and types.
"""

from collections.abc import Sequence
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

from riskgate.v1 import breaker_pb2, risk_config_pb2
from server.forms.plain_values import (
    FREE,
    NUMBER_TYPES,
    TIMESTAMP,
    WHOLE_TYPES,
    Field,
    enum_words,
    is_map,
)
from server.gateway import samples
from server.gateway.answers import REASON_HEADER
from server.gateway.endpoints import NEXT_PAGE, STATE_VERSION
from server.gateway.identity import OTP_HEADER
from server.gateway.operations import Operation
from server.gateway.requests import EXPECTED_VERSION, IF_MATCH, LIMIT_MAX, VERSION_MAX
from server.security.rights import RIGHTS

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_ID: Final[Schema] = {"type": "integer", "minimum": 1}
# What the record says of a row; sent back, it changes nothing.
_ANSWERED: Final = frozenset({"id", "breaker_id", "version", "created_at", "updated_at"})
_NULLABLE: Final = frozenset({"symbols", "exchanges", "providers", "strategies"})
_REQUIRED: Final = {
    "RiskConfiguration": ("config_id", "account_id"),
    "CircuitBreaker": ("name", "account_id", "condition", "action"),
}
_EVENT: Final = (
    *("id", "circuit_breaker_id", "timestamp", "triggered_values", "action_taken"),
    *("action_result", "positions_affected"),
)
_EXPECTED: Final[Schema] = {
    "type": ["integer", "null"],
    "minimum": 1,
    "maximum": VERSION_MAX,
    "description": f"Version that the row must have; as {IF_MATCH}.",
}
_REFUSALS: Final = {
    400: "The body is not one JSON document, repeats a key, or nests deeper than 16.",
    401: "No acceptable client certificate.",
    403: "The identity has no right to this, lacks a second factor, or a foreign page asks.",
    404: "There is none of that id.",
    409: "It exists, was changed meanwhile, or the present state does not permit it.",
    413: "The body has more than 64 KiB.",
    415: "The body is not application/json.",
    421: "The Host header is none of this server's names.",
    422: "A field, parameter or header is absent, unknown, malformed or out of range.",
    429: "The identity has used up its calls; Retry-After says how many seconds to wait.",
    503: "The record is away; safe to retry.",
}
# What every operation may answer; 500 would be a mistake of ours.
_ALWAYS: Final = (401, 403, 421, 422, 429, 503)
_HEADERS: Final = {
    "ETag": "Version of the row, for If-Match.",
    NEXT_PAGE: "page_token of the next page; absent: this is the last one.",
    STATE_VERSION: "Version of the state that holds the change, for min_state_version.",
    "Retry-After": "Seconds.",
}
_QUERY: Final[dict[str, tuple[Schema, str]]] = {
    "account_id": ({**_TEXT, "minLength": 1, "maxLength": 64}, "Whose."),
    "limit": ({"type": "integer", "minimum": 1, "maximum": LIMIT_MAX}, "Most rows of a page."),
    "page_token": ({**_TEXT, "maxLength": 512}, f"{NEXT_PAGE} of the page before."),
}
_PATH: Final[dict[str, Schema]] = {
    "config_id": {**_TEXT, "minLength": 1, "maxLength": 64},
    "breaker_id": {**_TEXT, "pattern": "^[0-9]{1,18}$"},
}


# Operations that go on from a row, and what they take from it.
_LINKS: Final = {
    "create_breaker": (
        ("update_breaker", "delete_breaker", "enable_breaker", "disable_breaker", "list_events"),
        ("breaker_id",),
    ),
    "save_configuration": (("get_configuration",), ("config_id", "account_id")),
}


def component_schemas() -> dict[str, Schema]:
    """Return the schemas that operations name."""
    configuration = _message(risk_config_pb2.RiskConfiguration.DESCRIPTOR)
    breaker = _message(breaker_pb2.CircuitBreaker.DESCRIPTOR)
    event = _message(breaker_pb2.CircuitBreakerEvent.DESCRIPTOR)
    properties = event["properties"]
    del properties["event_id"], properties["breaker_id"]
    properties["timestamp"] = properties.pop("occurred_at")
    properties |= {"id": _ID, "circuit_breaker_id": _ID}
    for name in ("action_result", "positions_affected"):
        properties[name] = {"anyOf": [properties[name], {"type": "null"}]}
    return {
        "RiskConfiguration": _written("RiskConfiguration", configuration),
        "RiskConfigurationRow": _row(configuration, {"id": _TEXT}),
        "RiskConfigurations": _list("RiskConfigurationRow"),
        "CircuitBreaker": _written("CircuitBreaker", breaker),
        "CircuitBreakerRow": _row(breaker, {"id": _ID}),
        "CircuitBreakers": _list("CircuitBreakerRow"),
        "CircuitBreakerEvent": {**event, "required": list(_EVENT)},
        "CircuitBreakerEvents": _list("CircuitBreakerEvent"),
        "Deleted": _object({"id": _ID, "breaker_id": _TEXT}),
        "Health": _object({"status": {"enum": ["SERVING", "NOT_SERVING", "UNKNOWN"]}}),
        "Refusal": _object({"code": _TEXT, "message": _TEXT, "field": _TEXT}),
    }


def security_schemes() -> dict[str, Schema]:
    """Return how callers say who they are."""
    said = "Client certificate over TLS 1.3; plaintext exists by insecure_loopback only."
    return {"certificate": {"type": "mutualTLS", "description": said}}


def describe_request(operation: Operation) -> Schema:
    """Return parameters, body and security of an operation."""
    parameters = [_parameter("path", name, schema) for name, schema in _in_path(operation)]
    for name in operation.query:
        schema, text = _QUERY[name]
        parameters.append(
            _parameter("query", name, schema, text, required=name in operation.required)
        )
    if operation.mutates:
        # At most 256 bytes of UTF-8, to be exact.
        reason = {**_TEXT, "minLength": 1, "maxLength": 256, "pattern": r"\S"}
        parameters.append(
            _parameter("header", REASON_HEADER, reason, "Why this is changed.", required=True)
        )
    if operation.method in RIGHTS and RIGHTS[operation.method].second_factor:
        code = {**_TEXT, "pattern": "^[0-9]{6}$"}
        parameters.append(_parameter("header", OTP_HEADER, code, "One-time code.", required=True))
    described: Schema = {"parameters": parameters, "security": [{"certificate": []}]}
    if not operation.body:
        return described
    if operation.name != "create_breaker":
        tag = {**_TEXT, "pattern": '^"[1-9][0-9]{0,17}"$'}
        parameters.append(_parameter("header", IF_MATCH, tag, "ETag that the row must have."))
    content = _json(operation.body)
    sample = {"RiskConfiguration": samples.CONFIGURATION, "CircuitBreaker": samples.BREAKER}
    content["application/json"]["example"] = sample[operation.body]
    return {**described, "requestBody": {"required": True, "content": content}}


def describe_answers(operation: Operation) -> dict[int | str, Schema]:
    """Return what an operation may answer, by status."""
    answers: dict[int | str, Schema] = {}
    for status in operation.statuses:
        said = {201: "Created."}.get(status, "Done.")
        answers[status] = {"description": said, "content": _json(operation.answer)}
        headers = [STATE_VERSION] if operation.mutates else []
        headers += ["ETag"] if operation.answer.endswith("Row") else []
        headers += [NEXT_PAGE] if "page_token" in operation.query else []
        answers[status]["headers"] = {
            name: {"description": _HEADERS[name], "schema": _TEXT} for name in headers
        }
        if operation.name in _LINKS:
            answers[status]["links"] = _links(*_LINKS[operation.name])
    for status in sorted({*_ALWAYS, *operation.refusals}):
        answers[status] = {"description": _REFUSALS[status], "content": _json("Refusal")}
        if status == 429:  # noqa: PLR2004 - RESOURCE_EXHAUSTED
            answers[status]["headers"] = {
                "Retry-After": {"description": _HEADERS["Retry-After"], "schema": _TEXT}
            }
    if operation.answer == "Health":
        either = {"anyOf": [_reference("Health"), _reference("Refusal")]}
        answers[503] = {
            "description": "Not serving, or the record is away.",
            "content": {"application/json": {"schema": either}},
        }
    return answers


def _links(names: Sequence[str], parameters: Sequence[str]) -> Schema:
    taken = {name: f"$response.body#/{name}" for name in parameters}
    return {name: {"operationId": name, "parameters": taken} for name in names}


def _in_path(operation: Operation) -> list[tuple[str, Schema]]:
    return [(name, schema) for name, schema in _PATH.items() if f"{{{name}}}" in operation.path]


def _parameter(
    place: str, name: str, schema: Schema, text: str = "", *, required: bool = False
) -> Schema:
    found: Schema = {"in": place, "name": name, "schema": schema}
    found["required"] = required or place == "path"
    return {**found, "description": text} if text else found


def _json(schema: str) -> Schema:
    return {"application/json": {"schema": _reference(schema)}}


def _reference(schema: str) -> Schema:
    return {"$ref": f"#/components/schemas/{schema}"}


def _list(schema: str) -> Schema:
    return {"type": "array", "items": _reference(schema)}


def _object(properties: dict[str, Schema]) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _written(name: str, schema: Schema) -> Schema:
    """Return the schema of what a body may hold: null for what is absent, no names but these."""
    properties = {
        field: {"anyOf": [inner, {"type": "null"}]} if field not in _REQUIRED[name] else inner
        for field, inner in schema["properties"].items()
        if field not in _ANSWERED
    }
    properties[EXPECTED_VERSION] = _EXPECTED
    if name == "CircuitBreaker":
        # Nothing to expect of a row that is not there yet.
        properties[EXPECTED_VERSION] = {**_EXPECTED, "description": "In an update; as If-Match."}
    return {**schema, "properties": properties, "required": list(_REQUIRED[name])}


def _row(schema: Schema, own: dict[str, Schema]) -> Schema:
    properties = dict(schema["properties"])
    for name in _NULLABLE & set(properties):
        properties[name] = {"anyOf": [properties[name], {"type": "null"}]}
    return {**schema, "properties": own | properties, "required": [*own, "account_id", "version"]}


def _message(descriptor: Any) -> Schema:
    properties = {field.name: _field(field) for field in descriptor.fields}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _field(field: Field) -> Schema:
    if is_map(field):
        inner = _value(field.message_type.fields_by_name["value"])
        return {"type": "object", "additionalProperties": inner}
    if field.is_repeated:
        return {"type": "array", "items": _value(field)}
    return _value(field)


def _value(field: Field) -> Schema:
    if field.enum_type is not None:
        return {"type": "string", "enum": list(enum_words(field.enum_type))}
    if field.message_type is None:
        return _scalar(field.type)
    kind = field.message_type.full_name
    if kind == TIMESTAMP:
        return {"type": "string", "format": "date-time"}
    if kind in FREE:
        return {"type": "array"} if kind.endswith("ListValue") else {"type": "object"}
    return _message(field.message_type)


def _scalar(kind: int) -> Schema:
    if kind in WHOLE_TYPES:
        return {"type": "integer", "minimum": 0}
    if kind in NUMBER_TYPES:
        return {"type": "number"}
    return {"type": "boolean"} if kind == FieldDescriptor.TYPE_BOOL else dict(_TEXT)
