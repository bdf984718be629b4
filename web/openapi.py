"""The description of the API at `/openapi.json`, and Swagger UI at `/docs` from files of our own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from flask import Blueprint, Flask, Response, redirect, send_from_directory
from flask_smorest import Api
from swagger_ui_bundle import swagger_ui_path
from werkzeug.wrappers import Response as WerkzeugResponse

from sensus import __version__
from web import errors
from web.schemas.ingest_alerts import WebhookIn
from web.schemas.ingest_events import CommitIn, EventIn
from web.schemas.ingest_metrics import SampleIn, SamplesIn
from web.schemas.receipts import AlertsReceipt, ChangesReceipt, EventReceipt, SamplesReceipt
from web.schemas.topology import EdgeIn, TopologyIn, TopologyReceipt

BEARER = "bearer"
BASIC = "basic"
INGEST_TYPES = (
    WebhookIn,
    SampleIn,
    SamplesIn,
    CommitIn,
    EventIn,
    EdgeIn,
    TopologyIn,
    AlertsReceipt,
    SamplesReceipt,
    EventReceipt,
    ChangesReceipt,
    TopologyReceipt,
)
_TEMPLATE = "#/components/schemas/{name}"
_ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
# Swagger UI sets styles on its elements and draws its icons from data URLs.
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Sensus API</title>
<link rel="icon" type="image/png" href="docs/assets/favicon-32x32.png">
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/assets/start.js"></script>
</body>
</html>
"""
_START = """window.ui = SwaggerUIBundle({
  url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, persistAuthorization: false, validatorUrl: null
});
"""


class SensusApi(Api):  # type: ignore[misc]  # flask_smorest has no types
    """flask-smorest, with the errors of `web.errors` in place of its own."""

    ERROR_SCHEMA = errors.ErrorSchema

    def _register_error_handlers(self) -> None:
        errors.install(self._app)


def install(app: Flask) -> SensusApi:
    """Describe what is registered from here on, and serve the description."""
    app.config.update(
        API_TITLE="Sensus",
        API_VERSION=__version__,
        OPENAPI_VERSION="3.0.3",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
    )
    api = SensusApi(app)
    api.spec.components.security_scheme(
        BEARER, {"type": "http", "scheme": "bearer", "description": "An access token, or an API key"}
    )
    api.spec.components.security_scheme(
        BASIC, {"type": "http", "scheme": "basic", "description": "Any name, with an API key as the password"}
    )
    _describe_ingest(api)
    app.register_blueprint(_docs())
    return api


def ingest_doc(summary: str, takes: type | list[type], answers: type, *, example: object) -> dict[str, Any]:
    """What `blueprint.doc` takes for an operation whose body msgspec reads; its types must be in `INGEST_TYPES`."""
    kinds = takes if isinstance(takes, list) else [takes]
    schemas: list[dict[str, Any]] = [_reference(kind) for kind in kinds]
    schemas += [{"type": "array", "items": _reference(kind)} for kind in kinds[:1] if len(kinds) > 1]
    return {
        "summary": summary,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas},
                    "example": example,
                }
            },
        },
        "responses": {
            "202": {
                "description": "Committed in the database",
                "content": {"application/json": {"schema": _reference(answers)}},
            },
            "default": {"$ref": "#/components/responses/DEFAULT_ERROR"},
        },
    }


def raw_doc(
    summary: str, takes: Mapping[str, str], status: int, told: str, answers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The same for bodies that no schema of ours describes: of each content type what it is."""
    response: dict[str, Any] = {"description": told}
    if answers:
        response["content"] = _raw(answers)
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": _raw(takes)},
        "responses": {
            str(int(status)): response,
            "default": {"$ref": "#/components/responses/DEFAULT_ERROR"},
        },
    }


def _raw(kinds: Mapping[str, str]) -> dict[str, Any]:
    binary = {"type": "string", "format": "binary"}
    return {
        kind: {"schema": {**({"type": "object"} if kind.endswith("json") else binary), "description": told}}
        for kind, told in kinds.items()
    }


def _reference(kind: type) -> dict[str, str]:
    return {"$ref": _TEMPLATE.format(name=kind.__name__)}


def _describe_ingest(api: SensusApi) -> None:
    """The types that read the bodies describe them: the two can't differ."""
    _, components = msgspec.json.schema_components(INGEST_TYPES, ref_template=_TEMPLATE)
    for name, schema in components.items():
        api.spec.components.schema(name, _as_openapi_3_0(schema))


def _as_openapi_3_0(schema: Any) -> Any:
    """OpenAPI 3.0, which Swagger UI 4 reads, says `nullable` for a type `null`, and one type for all of a list."""
    if isinstance(schema, list):
        return [_as_openapi_3_0(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {name: _as_openapi_3_0(inner) for name, inner in schema.items() if (name, inner) != ("default", None)}
    if places := changed.pop("prefixItems", None):
        kinds = [kind for number, kind in enumerate(places) if kind not in places[:number]]
        changed["items"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    choices = changed.get("anyOf", [])
    if {"type": "null"} in choices:
        others = [choice for choice in choices if choice != {"type": "null"}]
        changed.pop("anyOf")
        changed |= others[0] if len(others) == 1 else {"anyOf": others}
        changed["nullable"] = True
    if None in changed.get("enum", []):
        changed["nullable"] = True
    return changed


def _docs() -> Blueprint:
    blueprint = Blueprint("docs", __name__)

    @blueprint.get("/")
    def entrance() -> WerkzeugResponse:
        return redirect("/docs")

    @blueprint.get("/docs")
    def page() -> Response:
        return Response(_PAGE, mimetype="text/html")

    @blueprint.get("/docs/assets/start.js")
    def start() -> Response:
        return Response(_START, mimetype="text/javascript")

    @blueprint.get(f"/docs/assets/<any({', '.join(repr(name) for name in _ASSETS)}):name>")
    def asset(name: str) -> Response:
        return send_from_directory(str(swagger_ui_path), name, max_age=86_400)

    @blueprint.after_request
    def allow(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _POLICY
        return response

    return blueprint
