"""Which sections does a Markdown file have, and how do links name them?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

MOST_SECTIONS = 500
_LONGEST_HEADING, _LONGEST_BODY = 300, 20_000
_FENCE = re.compile(r"^ {0,3}(?P<mark>`{3,}|~{3,})")
_ATX = re.compile(r"^ {0,3}(?P<level>#{1,6})(?:[ \t]+(?P<text>.*?))?(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r"^ {0,3}(?:=+|-{2,})[ \t]*$")
_LINK = re.compile(r"!?\[(?P<text>[^\]]*)\]\([^)]*\)")
_MARKUP = re.compile(r"[*`~]|(?<!\w)_|_(?!\w)|<[^>]*>")
_NOT_IN_AN_ANCHOR = re.compile(r"[^\w\- ]")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what stands below it, up to the next heading."""

    heading: str
    anchor: str  # as links on GitHub and most others name it
    body: str


def sections(text: str, *, title: str) -> list[Section]:
    """The sections of a file in their order; what stands before the first heading goes by `title`, the file's name.

    A line that looks like a heading inside a block of code is none. A section without any text is a section too: its
    heading may be all that is needed.
    """
    found: list[Section] = []
    taken: Counter[str] = Counter()
    for heading, lines in _parts(_without_front_matter(text)):
        body = "\n".join(lines).strip()
        if heading is None and not body:
            continue
        name = plain(heading or title)[:_LONGEST_HEADING]
        anchor = anchor_of(name)
        place = taken[anchor]
        taken[anchor] += 1
        found.append(Section(name, f"{anchor}-{place}" if place else anchor, body[:_LONGEST_BODY]))
        if len(found) == MOST_SECTIONS:
            break
    return found


def plain(heading: str) -> str:
    """A heading without its markup."""
    return _MARKUP.sub("", _LINK.sub(lambda match: match["text"], heading)).strip()


def anchor_of(heading: str) -> str:
    """What a link to this heading ends with, after the #."""
    return _NOT_IN_AN_ANCHOR.sub("", heading.strip().lower()).replace(" ", "-")


def _parts(text: str) -> Iterator[tuple[str | None, list[str]]]:
    heading: str | None = None
    lines: list[str] = []
    fence: str | None = None
    for line in text.splitlines():
        if fence is not None:
            lines.append(line)
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = None
        elif opening := _FENCE.match(line):
            fence = opening["mark"]
            lines.append(line)
        elif atx := _ATX.match(line):
            yield heading, lines
            heading, lines = atx["text"] or "", []
        elif _UNDERLINE.match(line) and lines and lines[-1].strip() and (len(lines) == 1 or not lines[-2].strip()):
            above = lines.pop()
            yield heading, lines
            heading, lines = above, []
        else:
            lines.append(line)
    yield heading, lines


def _without_front_matter(text: str) -> str:
    text = text.removeprefix("\ufeff")
    if not text.startswith("---\n"):
        return text
    end = text.find("\n---", 4)
    return text if end < 0 else text[end + 4 :].partition("\n")[2]
