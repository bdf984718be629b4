"""What do all dashboards of ours have in common?  Data sources, choices at the top, refresh, links to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from ops import runbook
from ops.grafana.source.panels import Panel
from ops.grafana.source.queries import DATABASE, POSTGRES, PROMETHEUS

Rows = Mapping[str, Sequence[Panel]]
_TAG = "sensus"


def board(
    uid: str,
    title: str,
    description: str,
    rows: Rows,
    *,
    since: str = "now-6h",
    also: Sequence[dashboard.QueryVariable] = (),
) -> models.Dashboard:
    """A dashboard of rows of panels; each row has its title."""
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([_TAG])
        .refresh("30s")
        .time(since, "now")
        .timezone("browser")
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .links([_others(), *_runbook()])
        .variables([_source("datasource", "Prometheus", "prometheus"), _database(), _job(), _instance(), *also])
    )
    number = 0
    for name, panels in rows.items():
        number += 1
        made.with_row(dashboard.Row(name).id(number))
        for panel in panels:
            number += 1
            made.with_panel(panel.id(number))
    return made.build()


def choice(name: str, label: str, sql: str) -> dashboard.QueryVariable:
    """A choice among the rows of a question to the database, the first one by itself."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(DATABASE)
        .query(sql)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    )


def _source(name: str, label: str, kind: str) -> dashboard.DatasourceVariable:
    return dashboard.DatasourceVariable(name).label(label).type(kind)


def _database() -> dashboard.DatasourceVariable:
    # Only the one that was made for it: another PostgreSQL has no such views.
    return _source("database", "Database", POSTGRES).regex("/^Sensus/")


def _job() -> dashboard.QueryVariable:
    return _labels("job", "Job", "label_values(sensus_alerts_received_total, job)")


def _instance() -> dashboard.QueryVariable:
    return _labels("instance", "Instance", 'label_values(sensus_alerts_received_total{job=~"$job"}, instance)')


def _labels(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        # All jobs are all, also those that come later.
        .all_value(".+")
        .current(models.VariableOption(text="All", value="$__all"))
    )


def _others() -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink("Sensus")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([_TAG])
        .as_dropdown(False)
        .include_vars(True)
        .keep_time(True)
    )


def _runbook() -> list[dashboard.DashboardLink]:
    """To the runbook, when its address is one that a browser can open from anywhere."""
    address = runbook.address()
    if not address.startswith(("http://", "https://")):
        return []
    return [dashboard.DashboardLink("Runbook").type(models.DashboardLinkType.LINK).url(address).target_blank(True)]
