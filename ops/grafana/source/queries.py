"""What is asked of Prometheus and of the database?  Both become targets of panels."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent
from typing import Protocol

from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import DataSourceRef

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${datasource}")
POSTGRES = "grafana-postgresql-datasource"
DATABASE = DataSourceRef(type_val=POSTGRES, uid="${database}")
# What `{here` stands for in an expression: the jobs and instances that were chosen at the top of the dashboard.
_HERE = '{job=~"$job", instance=~"$instance"'


class Query(Protocol):
    """One question of a panel."""

    @property
    def source(self) -> DataSourceRef: ...
    def target(self, ref_id: str) -> Builder[Dataquery]: ...


@dataclass(frozen=True, slots=True)
class Prom:
    """A question to Prometheus; `instant` asks for the value at the end of the time that is shown."""

    expr: str
    legend: str = ""
    instant: bool = False

    @property
    def source(self) -> DataSourceRef:
        return PROMETHEUS

    def target(self, ref_id: str) -> Builder[Dataquery]:
        """The target with this letter."""
        made = (
            prometheus.Dataquery()
            .expr(self.expr.replace("{here", _HERE))
            .legend_format(self.legend or "__auto")
            .ref_id(ref_id)
            .datasource(PROMETHEUS)
        )
        return made.instant() if self.instant else made.range()


@dataclass(frozen=True, slots=True)
class Sql:
    """A question to the views of the schema `reporting`, with Grafana's macros.

    Over time the first column is `time`, ascending; text beside it names the lines.
    """

    text: str
    over_time: bool = False

    @property
    def source(self) -> DataSourceRef:
        return DATABASE

    def target(self, ref_id: str) -> Builder[Dataquery]:
        """The target with this letter."""
        return _SqlTarget(dedent(self.text).strip(), "time_series" if self.over_time else "table", ref_id)


def counted(view: str, *, at: str, by: str, name: str) -> Sql:
    """How many rows of a view came over time, by their time `at`: a line for each value of the expression `by`."""
    return Sql(
        f"""
        SELECT $__timeGroupAlias({at}, $__interval, 0), {by} AS metric, count(*) AS {name}
        FROM reporting.{view} WHERE $__timeFilter({at})
        GROUP BY 1, 2 ORDER BY 1
        """,  # noqa: S608 - every name is written in this folder
        over_time=True,
    )


@dataclass(frozen=True, slots=True)
class _SqlTarget(Builder[Dataquery], Dataquery):
    """The SDK has no target of this data source; this is what its plugin reads."""

    raw_sql: str
    format: str
    ref_id: str

    def build(self) -> Dataquery:
        return self

    def to_json(self) -> dict[str, object]:
        return {
            "datasource": DATABASE,
            "editorMode": "code",
            "format": self.format,
            "rawQuery": True,
            "rawSql": self.raw_sql,
            "refId": self.ref_id,
        }
