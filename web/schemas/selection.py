"""Which series, over which range of time?  The part of a query that samples, scores and anomalies share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from marshmallow import ValidationError, fields, post_load

from db.queries.series_reads import Selector
from web.arguments import StrictSchema
from web.schemas.fields import NAME_LENGTH, LabelIs, Moment, SelectorText, Text

_NAMES = {"metric_name", "label", "match", "start", "end", "since", "until"}


@dataclass(frozen=True, slots=True)
class Selection:
    """Series, and the first and last time of interest, both included; None where there is no bound."""

    selector: Selector
    start: datetime | None
    end: datetime | None


class SelectionSchema(StrictSchema):
    """Loads into `selection`, beside whatever fields a subclass adds."""

    # Whether a metric must be named.
    one_metric = True

    metric_name = Text(shortest=1, longest=NAME_LENGTH, metadata={"description": "Name of the metric"})
    label = fields.List(
        LabelIs(), metadata={"description": "A label's value, as name=value; may be repeated, and all must hold"}
    )
    match = SelectorText(
        metadata={"description": "In place of metric_name and label: a Prometheus selector with =, !=, =~, !~"}
    )
    start = Moment(metadata={"description": "Earliest time, included; ISO 8601 or Unix seconds"})
    end = Moment(metadata={"description": "Latest time, included"})
    since = Moment(metadata={"description": "Another name of `start`"})
    until = Moment(metadata={"description": "Another name of `end`"})

    @post_load
    def _select(self, data: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        start, end = _either(data, "start", "since"), _either(data, "end", "until")
        if start is not None and end is not None and start > end:
            raise ValidationError("lies after the end of the range", "start" if "start" in data else "since")
        rest = {name: value for name, value in data.items() if name not in _NAMES}
        return {**rest, "selection": Selection(self._selector(data), start, end)}

    def _selector(self, data: Mapping[str, Any]) -> Selector:
        selector: Selector | None = data.get("match")
        if selector is not None:
            if "metric_name" in data or "label" in data:
                raise ValidationError("can't stand beside metric_name or label; put them into the selector", "match")
            return selector
        if self.one_metric and "metric_name" not in data:
            raise ValidationError("is missing; name the metric, here or in `match`", "metric_name")
        return Selector(data.get("metric_name"), tuple(data.get("label", ())))


def _either(data: Mapping[str, Any], name: str, other: str) -> datetime | None:
    if name in data and other in data:
        raise ValidationError(f"means the same as `{name}`; give one of them", other)
    found: datetime | None = data.get(name, data.get(other))
    return found
