"""A Markdown file is taken apart by its headings, as its readers see them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.markdown import MOST_SECTIONS, anchor_of, sections


def headings(text: str) -> list[tuple[str, str]]:
    return [(one.heading, one.anchor) for one in sections(text, title="the-file")]


def test_each_heading_has_what_stands_below_it() -> None:
    found = sections("intro\n\n# One\ntext\n## Two ##\n\nmore\n- and more\n", title="the-file")
    assert [(one.heading, one.body) for one in found] == [
        ("the-file", "intro"), ("One", "text"), ("Two", "more\n- and more"),
    ]  # fmt: skip


def test_a_comment_in_a_block_of_code_is_no_heading() -> None:
    text = "# Restart\n```sh\n# as root\nsystemctl restart x\n```\n~~~~\n# also none\n~~~\n~~~~\n# After\n"
    assert [heading for heading, _ in headings(text)] == ["Restart", "After"]


def test_underlined_headings_are_headings_and_rules_are_none() -> None:
    assert headings("Title\n=====\na\n\nSub title\n---\nb\n\n---\n\nc\nd\n---\n") == [
        ("Title", "title"), ("Sub title", "sub-title"),
    ]  # fmt: skip


def test_front_matter_is_no_text() -> None:
    assert headings("---\ntitle: x\n---\n# One\n") == [("One", "one")]


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("High Latency", "high-latency"),
        ("What to do? (v2.0)", "what-to-do-v20"),
        ("Größe_1", "größe_1"),
        ("A  b", "a--b"),
    ],
)
def test_an_anchor_is_as_links_have_it(heading: str, anchor: str) -> None:
    assert anchor_of(heading) == anchor


def test_equal_headings_have_anchors_of_their_own_and_markup_none() -> None:
    assert headings("# A\n# A\n# [A](https://x.org/y) `b` **c**\n") == [("A", "a"), ("A", "a-1"), ("A b c", "a-b-c")]


@given(st.text(alphabet="#=-`~ \n\tab[]()*\ufeff\r", max_size=300))
def test_any_text_is_taken_apart(text: str) -> None:
    found = sections(text, title="t")
    assert len(found) <= MOST_SECTIONS
    assert all("#" not in one.anchor and one.body == one.body.strip() for one in found)


@given(st.lists(st.text(alphabet="abc def", min_size=1, max_size=20).filter(str.strip), max_size=20))
def test_as_many_sections_as_headings(names: list[str]) -> None:
    found = sections("".join(f"# {name}\nbody\n" for name in names), title="t")
    assert [one.heading for one in found] == [" ".join(name.split(" ")).strip() for name in names]
    assert all(one.body == "body" for one in found)
