"""Which sections of runbooks are about an incident?  One that its alerts link to, or name, comes before all others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from llm.markdown import anchor_of
from llm.retrieval import scores, terms
from llm.similar import by_meaning

LEAST_SCORE = 0.15
_LINKED, _OF_THE_LINKED_FILE, _NAMED, _BY_WORDS = 0.9, 0.7, 0.8, 0.6
_OF_A_NAME = 3.0  # a word of an alert's or a service's name says more than one of its summary
_WORD = re.compile(r"[a-z0-9]+")
_MOST_WORDS = 60


@dataclass(frozen=True, slots=True)
class Link:
    """Where a `runbook_url` points, as far as a file of ours may be meant: its stem and the anchor in it."""

    stem: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Text:
    """A section as it is compared."""

    path: str
    heading: str
    anchor: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is looked for."""

    alert_names: Sequence[str]
    services: Sequence[str]  # suspects among them
    said: str  # summaries
    links: Sequence[Link] = ()

    def words(self) -> dict[str, float]:
        """The terms with their weights."""
        found = dict.fromkeys(terms(self.said), 1.0)
        for name in (*self.alert_names, *self.services):
            found |= dict.fromkeys(terms(name), _OF_A_NAME)
        return found

    def plain_words(self) -> list[str]:
        """The words as a full-text search takes them, the most telling first."""
        texts = (*self.alert_names, *self.services, *self.words())
        plain = [word for text in texts for word in _WORD.findall(text.lower()) if len(word) > 1]
        return list(dict.fromkeys(plain))[:_MOST_WORDS]


def stems_of(alert_name: str) -> list[str]:
    """How a file about this alert may be called."""
    parts = [part for part in terms(alert_name) if part != alert_name.lower()] or [alert_name.lower()]
    return list(dict.fromkeys((alert_name.lower(), "-".join(parts), "_".join(parts), "".join(parts))))


def link_of(url: str | None) -> Link | None:
    """The file and the section that a link may mean; None for what is none."""
    try:
        parts = urlsplit((url or "").strip())
    except ValueError:
        return None
    segments = [unquote(part) for part in parts.path.split("/") if part]
    stem = stem_of(segments[-1]) if segments else ""
    anchor = anchor_of(unquote(parts.fragment))
    return Link(stem, anchor) if stem or anchor else None


def stem_of(path: str) -> str:
    """The name of a file without its folder and ending, in small letters."""
    name = path.rsplit("/", 1)[-1].lower()
    return re.sub(r"\.(?:md|markdown|html?)$", "", name)


def match(question: Question, sections: Sequence[Text], nearness: Mapping[int, float] | None = None) -> list[float]:
    """How much each section has to do with the question, from 0 to 1; `nearness` is by meaning, where it is known."""
    names = {_letters(name) for name in question.alert_names}
    documents = [[*_thrice(terms(one.heading)), *terms(one.path), *terms(one.body)] for one in sections]
    by_words = scores(question.words(), documents)
    found = []
    for place, one in enumerate(sections):
        score = _BY_WORDS * max(by_words[place], by_meaning((nearness or {}).get(place)))
        if _letters(one.heading) in names or _letters(stem_of(one.path)) in names:
            score = _NAMED + 0.1 * score
        found.append(max(score, max((_linked(link, one) for link in question.links), default=0.0)))
    return found


def _linked(link: Link, section: Text) -> float:
    is_file = bool(link.stem) and link.stem == stem_of(section.path)
    if link.anchor:
        return _LINKED if link.anchor == section.anchor and (is_file or not link.stem) else 0.0
    return _LINKED if link.stem == section.anchor else _OF_THE_LINKED_FILE if is_file else 0.0


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.lower())


def _thrice(found: Iterable[str]) -> list[str]:
    return [term for term in found for _ in range(3)]
