"""Takes the metrics of OpenTelemetry, over OTLP/HTTP."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response, request
from flask_smorest import Blueprint
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from werkzeug.exceptions import UnsupportedMediaType

from sensus import metrics, times
from web import bodies, compressed, intake
from web.access import access
from web.openapi import raw_doc
from web.resources import resources
from web.schemas import otlp
from web.wire.rpc_status_pb2 import Status

# The path is where exporters send to, when they are told only of the host.
blueprint = Blueprint("ingest-otlp", __name__, url_prefix="/v1", description="OpenTelemetry exports metrics")

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
_READERS = {PROTOBUF: otlp.read_protobuf, JSON: otlp.read_json}
_DOC = raw_doc(
    "Send samples as OpenTelemetry exports them",
    {
        PROTOBUF: "An `ExportMetricsServiceRequest`, maybe with Content-Encoding: gzip",
        JSON: "The same in the JSON of OTLP",
    },
    HTTPStatus.OK,
    "Committed in the database, but for what `partial_success` tells of",
    {PROTOBUF: "An `ExportMetricsServiceResponse`", JSON: "The same in the JSON of OTLP"},
)


@blueprint.post("/metrics")
@access("write", limit="metrics")
@blueprint.doc(**_DOC)
def receive_otlp() -> Response:
    """The points of gauges and sums; others are refused, and told of.  The answer has the encoding of the request,
    in protobuf a refusal too: it is a `google.rpc.Status` then.
    """
    with metrics.timed(metrics.processing_duration.labels("otlp")):
        reader = _READERS.get(request.mimetype)
        if reader is None:
            raise UnsupportedMediaType(f"send {PROTOBUF} or {JSON}, not {request.content_type}")
        settings = resources().settings
        body = _body(most=settings.max_body_bytes * compressed.TIMES_THE_BODY)
        taken = reader(body, times.now(), retention_days=settings.retention_days)
        refused = taken.refused.total()
        told = dict(taken.told)
        if taken.sent:
            receipt = intake.store_taken(taken)
            if receipt.left_out:
                refused += len(receipt.left_out)
                told[intake.NEW_SERIES] = receipt.why
    answer = ExportMetricsServiceResponse()
    if refused:
        answer.partial_success.rejected_data_points = refused
        answer.partial_success.error_message = "; ".join(told.values())
    return _encoded(answer, HTTPStatus.OK)


@blueprint.after_request
def refuse_in_its_encoding(response: Response) -> Response:
    """An exporter that speaks protobuf reads no JSON."""
    if response.status_code >= HTTPStatus.BAD_REQUEST and request.mimetype == PROTOBUF:
        told = _encoded(Status(message=response.get_json()["message"]), HTTPStatus(response.status_code))
        response.set_data(told.get_data())
        response.content_type = PROTOBUF
    return response


def _body(*, most: int) -> bytes:
    body = bodies.whole(request)
    encoding = request.headers.get("Content-Encoding") or "identity"
    if encoding == "gzip":
        return compressed.gunzipped(body, most=most)
    if encoding != "identity":
        raise UnsupportedMediaType(f"send Content-Encoding: gzip or none, not {encoding}")
    return body


def _encoded(message: Message, status: HTTPStatus) -> Response:
    if request.mimetype == JSON:
        return Response(MessageToJson(message, indent=None), status, mimetype=JSON)
    return Response(message.SerializeToString(), status, mimetype=PROTOBUF)
