"""The page /docs: the interface as OpenAPI describes it, in plain HTML that needs neither scripts nor a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any


def describe_api(openapi: Mapping[str, Any]) -> str:
    """The routes, with their parameters and bodies, as a page."""
    routes = "".join(
        _route(path, method, operation)
        for path, operations in openapi["paths"].items()
        for method, operation in operations.items()
    )
    schemas = "".join(_schema(name, schema) for name, schema in openapi["components"]["schemas"].items())
    title = escape(f"{openapi['info']['title']} {openapi['info']['version']}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{title}</title><h1>{title}</h1><p>The same for programs: <a href="/openapi.json">openapi.json</a></p>'
        f"<h2>Routes</h2>{routes}<h2>Objects</h2>{schemas}</html>"
    )


def _route(path: str, method: str, operation: Mapping[str, Any]) -> str:
    parameters = "".join(
        f"<li><code>{escape(each['name'])}</code> ({each['in']}{'' if each.get('required') else ', optional'}) "
        f"{escape(each.get('description', ''))}</li>"
        for each in operation.get("parameters", ())
    )
    content = operation.get("requestBody", {}).get("content", {})
    body = "".join(f"<li>body: {_reference(each.get('schema', {}))}</li>" for each in content.values())
    found = operation["responses"].get("200", {})
    kinds = ", ".join(
        f"{_reference(each.get('schema', {}))} as <code>{escape(kind)}</code>"
        for kind, each in found.get("content", {}).items()
    )
    return (
        f"<h3><code>{method.upper()} {escape(path)}</code></h3><p>{escape(operation.get('description', ''))}</p>"
        f"<ul>{parameters}{body}<li>answer: {kinds}</li></ul>"
    )


def _reference(schema: Mapping[str, Any]) -> str:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name:
        return f'<a href="#{escape(name)}">{escape(name)}</a>'
    if schema.get("type") == "array":
        return f"list of {_reference(schema.get('items', {}))}"
    return escape(str(schema.get("title") or schema.get("type", "JSON")))


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    text = escape(json.dumps(schema, indent=2, ensure_ascii=False))
    return f'<h3 id="{escape(name)}">{escape(name)}</h3><pre>{text}</pre>'
