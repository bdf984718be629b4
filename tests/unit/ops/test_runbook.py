"""Where do people find the runbook?  One command says it, for every alert and every dashboard."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops import runbook
from ops.grafana.source import all_boards

ELSEWHERE = "https://git.example.org/ops/sensus/-/blob/main/docs/runbook.md?plain=0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the rules and their tests."""
    return Path(shutil.copytree(runbook.PROMETHEUS, tmp_path / "prometheus"))


def linked(folder: Path) -> dict[str, str]:
    """The link of each alert in the rules."""
    groups = yaml.safe_load((folder / "rules" / "alerts.yml").read_text("utf-8"))["groups"]
    return {rule["alert"]: rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"]}


def expected(folder: Path) -> set[str]:
    """The links that the tests of the rules expect."""
    found: set[str] = set()

    def look(node: Any) -> None:
        if isinstance(node, dict):
            found.update(value for key, value in node.items() if key == "runbook_url")
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            look(child)

    for path in (folder / "tests").glob("*.test.yml"):
        look(yaml.safe_load(path.read_text("utf-8")))
    return found


def test_a_runbook_elsewhere_stands_in_every_link_and_may_move_again(folder: Path) -> None:
    before = {name: (folder / name).read_text("utf-8") for name in ("rules/alerts.yml", "tests/work.test.yml")}
    shipped = runbook.address(folder)
    runbook.move(ELSEWHERE, folder)
    links = linked(folder)
    assert links == {name: f"{ELSEWHERE}#{name.lower()}" for name in links}
    assert expected(folder) == set(links.values())
    assert runbook.address(folder) == ELSEWHERE
    runbook.move(shipped, folder)
    assert before == {name: (folder / name).read_text("utf-8") for name in before}


def test_two_addresses_are_none(folder: Path) -> None:
    rules = folder / "rules" / "alerts.yml"
    rules.write_text(rules.read_text("utf-8").replace("docs/runbook.md#redisdown", "wiki#redisdown"), "utf-8")
    with pytest.raises(ValueError, match="several addresses"):
        runbook.address(folder)


@pytest.mark.parametrize("word", ["", "https://a b", "https://a#redisdown", "{{ $x }}", "'a'", "-a", "a\nb"])
def test_what_would_break_the_rules_is_refused(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        runbook.main(["--", word])
    assert ended.value.code == 2
    assert "no address" in capsys.readouterr().err


@pytest.mark.parametrize(("address", "links"), [("docs/runbook.md", []), (ELSEWHERE, [ELSEWHERE])])
def test_dashboards_link_to_a_runbook_that_a_browser_can_open(
    address: str, links: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runbook, "address", lambda: address)
    for text in all_boards.written().values():
        assert [link["url"] for link in json.loads(text)["links"] if link["type"] == "link"] == links
