"""Selectors in the words of Prometheus."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.queries.labels import OPERATORS, Matcher
from db.queries.series_reads import Selector
from web.schemas import selector

ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
LABEL_NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "__name__")
MATCHERS = st.lists(st.builds(Matcher, LABEL_NAMES, st.sampled_from(OPERATORS), ANY_TEXT), max_size=4)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


@given(MATCHERS, st.sampled_from(["", " "]), st.booleans())
def test_what_is_written_is_what_is_read(matchers: list[Matcher], space: str, comma_at_end: bool) -> None:
    inside = f",{space}".join(f"{one.name}{space}{one.operator}{space}{quoted(one.value)}" for one in matchers)
    text = f"up{space}{{{space}{inside}{',' if comma_at_end and matchers else ''}{space}}}"
    assert selector.parse(text) == Selector("up", tuple(matchers))


@given(ANY_TEXT.filter(bool), st.lists(st.builds(Matcher, ANY_TEXT, st.sampled_from(OPERATORS), ANY_TEXT), max_size=4))
def test_a_selector_that_we_write_reads_back(name: str, matchers: list[Matcher]) -> None:
    wanted = Selector(name, tuple(one for one in matchers if one.name not in ("", "__name__")))
    assert selector.parse(selector.written(wanted)) == wanted


@given(ANY_TEXT)
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(selector.BadSelector):
        assert selector.parse(text).metric_name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("up", Selector("up")),
        (" up ", Selector("up")),
        ("up{}", Selector("up")),
        ('{__name__="up"}', Selector("up")),
        ('{"http.requests", code="200"}', Selector("http.requests", (Matcher("code", "=", "200"),))),
        ("up{a='it\\'s'}", Selector("up", (Matcher("a", "=", "it's"),))),
        (r"up{a=~`\d+`}", Selector("up", (Matcher("a", "=~", r"\d+"),))),
        ('up{"label with spaces"!="x"}', Selector("up", (Matcher("label with spaces", "!=", "x"),))),
        ('up{a="}",b="{"}', Selector("up", (Matcher("a", "=", "}"), Matcher("b", "=", "{")))),
    ],
)
def test_the_forms_of_prometheus_are_understood(text: str, expected: Selector) -> None:
    assert selector.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{a="b"}',
        "up{",
        "up{a}",
        "up{a=b}",
        'up{a="b"',
        'up{a="b"}[5m]',
        'up{a="b"} or down',
        'up{a="b" b="c"}',
        'up{a>"b"}',
        'up{__name__="down"}',
        '{__name__=~"up.*"}',
        'up{a="\\d"}',
        "rate(up)[5m]",
        "up down",
    ],
)
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(selector.BadSelector):
        selector.parse(text)
