"""The description as one page of HTML without scripts, so that it can be read with no network."""

import json
from html import escape
from typing import Any, Final

_STYLE: Final = (
    "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "code,pre{font-family:monospace}pre{overflow:auto;background:#f4f4f4;padding:1em}"
    "td,th{padding:.2em .8em .2em 0;text-align:left;vertical-align:top}"
)


def render_page(document: dict[str, Any]) -> str:
    """Return the page that shows an OpenAPI document."""
    title = escape(document["info"]["title"])
    operations = [
        _operation(verb.upper(), path, operation)
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
    ]
    schemas = [
        f"<h3 id='{escape(name)}'>{escape(name)}</h3><pre>{escape(json.dumps(schema, indent=1))}"
        "</pre>"
        for name, schema in document["components"]["schemas"].items()
    ]
    about = escape(document["info"]["description"])
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{title}</title>"
        f"<style>{_STYLE}</style><h1>{title}</h1><p>{about}</p>"
        "<p>For machines: <a href='/openapi.json'>/openapi.json</a></p>"
        f"{''.join(operations)}<h2>Schemas</h2>{''.join(schemas)}</html>"
    )


def _operation(verb: str, path: str, operation: dict[str, Any]) -> str:
    parameters = [
        (
            f"{each['name']} ({each['in']}{', required' * each['required']})",
            each.get("description", ""),
        )
        for each in operation.get("parameters", ())
    ]
    if "requestBody" in operation:
        parameters.append(("body", _link(operation["requestBody"]["content"])))
    answers = [
        (status, escape(answer["description"]) + " " + _link(answer.get("content", {})))
        for status, answer in operation["responses"].items()
    ]
    return (
        f"<h2><code>{verb} {escape(path)}</code></h2><p>{escape(operation['summary'])}</p>"
        f"<table>{_rows(parameters)}</table><table>{_rows(answers)}</table>"
    )


def _rows(pairs: list[tuple[str, str]]) -> str:
    return "".join(f"<tr><th>{escape(name)}<td>{said}" for name, said in pairs)


def _link(content: dict[str, Any]) -> str:
    schema = content.get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    return f"<a href='#{escape(name)}'>{escape(name)}</a>" if name else ""
