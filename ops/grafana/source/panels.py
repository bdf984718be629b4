"""How does a panel of ours look?  A number, lines over time, or a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import common, dashboard, stat, table, timeseries
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
)

from ops.grafana.source.queries import Query

Limits = tuple[float, ...]
_COLOURS = ("green", "orange", "red")


# What a dashboard places.
Panel = stat.Panel | timeseries.Panel | table.Panel


def number(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str,
    limits: Limits = (),
    good_above: bool = False,
    decimals: int | None = None,
    width: int = 4,
) -> Panel:
    """One number with its recent course; orange from the first limit on and red from the second.

    `good_above` turns the colours round: the number is to be above its one limit.
    """
    made = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(query.source)
        .targets([query.target("A")])
        .unit(unit)
        .thresholds(_thresholds(limits, good_above=good_above))
        .color_mode(BigValueColorMode.VALUE if limits else BigValueColorMode.NONE)
        .graph_mode(BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .span(width)
        .height(4)
    )
    return made if decimals is None else made.decimals(decimals)


def lines(
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    limits: Limits = (),
    stacked: bool = False,
    most: float | None = None,
    width: int = 12,
) -> Panel:
    """Lines over time, from 0 up, with a dashed line where an alert begins."""
    made = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(queries[0].source)
        .targets([query.target(chr(ord("A") + place)) for place, query in enumerate(queries)])
        .unit(unit)
        .thresholds(_thresholds(limits))
        .thresholds_style(
            common.GraphThresholdsStyleConfig().mode(
                GraphThresholdsStyleMode.DASHED if limits else GraphThresholdsStyleMode.OFF
            )
        )
        .axis_soft_min(0)
        .fill_opacity(30 if stacked else 8)
        .stacking(common.StackingConfig().mode(StackingMode.NORMAL if stacked else StackingMode.NONE))
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .span(width)
        .height(8)
    )
    return made if most is None else made.max(most)


def rows(
    title: str, description: str, query: Query, *, units: Mapping[str, str] | None = None, width: int = 24
) -> Panel:
    """A table; `units` says the unit of a column that has one."""
    made = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(query.source)
        .targets([query.target("A")])
        .unit("none")
        .thresholds(_thresholds(()))
        .filterable(True)
        .span(width)
        .height(9)
    )
    for column, unit in (units or {}).items():
        made.override_by_name(column, [models.DynamicConfigValue(id_val="unit", value=unit)])
    return made


def _thresholds(limits: Limits, *, good_above: bool = False) -> dashboard.ThresholdsConfig:
    colours: Sequence[str] = ("red", "green") if good_above else _COLOURS if len(limits) > 1 else ("green", "red")
    first = models.Threshold(value=None, color=colours[0])
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([first, *(models.Threshold(value=limit, color=colours[place]) for place, limit in enumerate(limits, 1))])
    )
