"""Log lines carry the ids of the work at hand, and never what a variable held."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensus import logs


@pytest.fixture(autouse=True)
def _put_back():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logs.unbind_all()


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_shows_no_local_variable(style, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", style)
    token = "a very secret token"
    try:
        raise ValueError(len(token))
    except ValueError:
        logs.get_logger("test").exception("it_failed")
    told = capsys.readouterr().err
    assert "it_failed" in told
    assert "ValueError" in told
    assert token not in told


def test_every_line_has_the_bound_ids(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "json")
    logs.bind(request_id="r-1", task="t")
    logs.get_logger("test").info("done", count=3)
    logging.getLogger("another.library").warning("odd")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["request_id"], line["task"]) for line in lines] == [
        ("done", "r-1", "t"),
        ("odd", "r-1", "t"),
    ]
    assert logs.bound_request_id() == "r-1"


@given(st.one_of(st.none(), st.text()))
def test_an_id_is_kept_when_it_is_sane_and_made_when_not(given_id: str | None) -> None:
    kept = logs.sane_request_id(given_id)
    assert logs.REQUEST_ID.fullmatch(kept)
    assert kept == given_id or given_id is None or not logs.REQUEST_ID.fullmatch(given_id)


def test_a_line_break_does_not_make_an_id_sane() -> None:
    assert logs.sane_request_id("abc\n") != "abc\n"
