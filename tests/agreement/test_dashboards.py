"""The dashboards are what their code says, and keep the rules of a good one."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops import runbook
from ops.grafana.source import all_boards
from ops.grafana.source.limits import limit, names
from tests.dashboards import FOLDER, POSTGRES, boards, panels, promql, questions, variables

ROOT = Path(__file__).parent.parent.parent
BOARDS = boards()
PROVISIONING = ROOT / "ops" / "grafana" / "provisioning"
every_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


def test_the_committed_dashboards_are_what_the_code_makes() -> None:
    made = all_boards.written()
    committed = {path.name: path.read_text("utf-8") for path in FOLDER.iterdir()}
    assert committed.keys() == made.keys(), "run `make dashboards`"
    for name, text in made.items():
        assert committed[name] == text, f"{name}: run `make dashboards`"


def test_the_overview_has_the_panels_that_people_hold_on_to() -> None:
    overview = BOARDS["sensus-overview.json"]
    assert overview["refresh"] == "30s"
    titles = {panel["title"] for panel in panels(overview)}
    assert {"Total alerts", "Total metrics", "Ingestion rate", "Processing, p95", "Processing, p99"} <= titles


@every_board
def test_a_dashboard_can_be_found_refreshes_and_is_not_edited_by_hand(board: dict[str, Any]) -> None:
    assert re.fullmatch(r"sensus-[a-z]+", board["uid"])
    assert f"{board['uid']}.json" in BOARDS
    assert board["title"].startswith("Sensus / ")
    assert board["description"]
    assert (board["refresh"], board["editable"], board["tags"]) == ("30s", False, ["sensus"])
    assert board["links"][0]["type"] == "dashboards"
    assert {link["url"] for link in board["links"][1:]} <= {runbook.address()}


@every_board
def test_data_sources_jobs_and_instances_can_be_chosen(board: dict[str, Any]) -> None:
    chosen = variables(board)
    assert (chosen["datasource"]["type"], chosen["datasource"]["query"]) == ("datasource", "prometheus")
    assert (chosen["database"]["type"], chosen["database"]["query"]) == ("datasource", POSTGRES)
    for name in ("job", "instance"):
        one = chosen[name]
        assert (one["type"], one["multi"], one["includeAll"], one["allValue"]) == ("query", True, True, ".+")
        assert one["datasource"]["uid"] == "${datasource}"
        assert one["label"]
    for panel in panels(board):
        for source in (panel["datasource"], *(target["datasource"] for target in panel["targets"])):
            assert source["uid"] == ("${database}" if source["type"] == POSTGRES else "${datasource}")


@every_board
def test_every_panel_says_what_it_shows_and_in_which_unit(board: dict[str, Any]) -> None:
    for panel in panels(board):
        title, defaults = panel["title"], panel["fieldConfig"]["defaults"]
        assert title
        assert panel["description"].endswith("."), title
        assert defaults["unit"], title
        assert defaults["thresholds"]["steps"][0]["value"] is None, title
        assert panel["targets"], title
        if panel["type"] == "timeseries":
            assert panel["options"]["legend"]["showLegend"], title
            assert all(target.get("legendFormat", "sql") for target in panel["targets"]), title
            assert len({target.get("legendFormat") for target in panel["targets"]}) == len(panel["targets"]) or all(
                "rawSql" in target for target in panel["targets"]
            ), title
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters), title


@every_board
def test_panels_have_ids_and_places_of_their_own(board: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in panels(board)]
    assert len(set(titles)) == len(titles)
    places = [panel["gridPos"] for panel in board["panels"]]
    for place in places:
        assert place["x"] + place["w"] <= 24
    for one, other in itertools.combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)


def test_counters_are_shown_as_rates_over_an_interval_that_fits() -> None:
    for question in questions():
        if question.is_sql:
            continue
        for counter in re.findall(r"(\w+_(?:total|bucket|count))\{", question.text):
            if counter == "pg_stat_activity_count":
                continue  # a gauge, by the exporter's own choice of name
            assert re.search(rf"(?:rate|increase)\({counter}\{{", question.text), (question, counter)
        for interval in re.findall(r"\[([^\]]+)\]", question.text):
            # Five minutes where the panel says so.
            assert interval in {"$__rate_interval", "$__range", "5m"}, (question, interval)


def test_figures_of_ours_are_those_of_the_chosen_jobs_and_instances() -> None:
    for question in questions():
        if question.is_sql:
            continue
        for name in re.findall(r"\b(sensus_\w+|flask_\w+)\b(?!:)", re.sub(r"\w+:\w+:\w+", "", question.text)):
            assert f'{name}{{job=~"$job", instance=~"$instance"' in question.text, (question, name)


def test_every_line_of_a_panel_that_names_an_alert_is_where_the_alert_begins() -> None:
    alerts = set(names())
    found = 0
    for board in BOARDS.values():
        for panel in panels(board):
            steps = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]][1:]
            for name in re.findall(r"\b([A-Z][A-Za-z]+) fires above", panel["description"]):
                assert name in alerts, panel["title"]
                assert limit(name) in steps, panel["title"]
                found += 1
    assert found > 10


def test_every_alert_that_a_panel_names_exists() -> None:
    for board in BOARDS.values():
        for panel in panels(board):
            for name in re.findall(r"\b([A-Z]\w+) fires\b", panel["description"]):
                assert name in names(), panel["title"]


def test_every_variable_of_an_expression_is_known() -> None:
    for question in questions():
        if not question.is_sql:
            assert "$" not in promql(question.text, rate_s=60, range_s=3600), question


def test_the_provisioned_sources_are_those_that_dashboards_choose_from() -> None:
    (path,) = (PROVISIONING / "datasources").iterdir()
    text = path.read_text("utf-8")
    sources = {source["type"]: source for source in yaml.safe_load(text)["datasources"]}
    assert sources["prometheus"]["isDefault"]
    for board in BOARDS.values():
        chosen = variables(board)
        assert chosen["datasource"]["query"] in sources
        assert chosen["database"]["query"] in sources
        assert re.search(chosen["database"]["regex"].strip("/"), sources[POSTGRES]["name"])
    assert sources[POSTGRES]["user"] == "sensus_reporting"
    # Secrets and addresses come from the environment.
    assert sources[POSTGRES]["secureJsonData"] == {"password": "$REPORTING_PASSWORD"}
    scrape = yaml.safe_load((ROOT / "ops" / "prometheus" / "prometheus.yml").read_text("utf-8"))["global"]
    assert sources["prometheus"]["jsonData"]["timeInterval"] == scrape["scrape_interval"]


def test_what_the_provisioning_asks_of_the_environment_compose_gives() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]["grafana"]
    given = {*compose["environment"], *re.findall(r"([A-Z_]+)=", " ".join(compose["entrypoint"]))}
    asked = {
        name
        for path in (PROVISIONING / "datasources").iterdir()
        for name in re.findall(r"\$([A-Z_]+)", path.read_text("utf-8"))
    }
    assert asked
    assert asked <= given
    (provider,) = yaml.safe_load(next((PROVISIONING / "dashboards").iterdir()).read_text("utf-8"))["providers"]
    mounted = dict(volume.split(":")[1::-1] for volume in compose["volumes"])
    assert mounted[provider["options"]["path"]] == "./ops/grafana/dashboards"
