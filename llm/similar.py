"""Has there been an incident like this one, and is it known what it was?"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from llm.retrieval import scores, terms

LEAST_SIMILARITY = 0.25
# The same service is not enough: it fails in many ways. The same alert of another service mostly has another cause.
_SERVICES, _NAMES, _WORDS, _SUSPECT = 0.3, 0.3, 0.25, 0.15
# What a person confirmed counts for more than what a model said and nobody contradicted.
_CONFIRMED, _HELPFUL, _SAID = 0.8, 0.65, 0.45
# Vectors of texts that have nothing in common are still this near to each other.
_NO_LIKENESS = 0.55


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What two incidents are compared by."""

    services: frozenset[str]
    alert_names: frozenset[str]
    text: str
    suspect: str | None = None  # the service that is or was held to be the cause


def similarities(present: Profile, past: Sequence[Profile], nearness: Mapping[int, float] | None = None) -> list[float]:
    """How alike each past incident is to the present one, from 0 to 1; `nearness` is by meaning, where it is known."""
    question = dict.fromkeys(terms(present.text), 1.0)
    by_words = scores(question, [terms(one.text) for one in past])
    found = []
    for place, one in enumerate(past):
        meant = by_meaning((nearness or {}).get(place))
        likeness = (
            _SERVICES * _overlap(present.services, one.services)
            + _NAMES * _overlap(present.alert_names, one.alert_names)
            + _WORDS * max(by_words[place], meant)
            + _SUSPECT * (present.suspect is not None and present.suspect == one.suspect)
        )
        found.append(likeness)
    return found


def weigh(similarity: float, *, is_confirmed: bool, was_helpful: bool) -> float:
    """The weight of a past incident as evidence, by how alike it is and how well its cause is known."""
    known = _CONFIRMED if is_confirmed else _HELPFUL if was_helpful else _SAID
    return min(1.0, similarity * known)


def by_meaning(cosine: float | None) -> float:
    """The cosine of two vectors as a likeness from 0 to 1; 0 when it is not known."""
    return 0.0 if cosine is None else min(max((cosine - _NO_LIKENESS) / (1.0 - _NO_LIKENESS), 0.0), 1.0)


def lexemes(texts: Iterable[str]) -> list[str]:
    """The words that an incident is found by, each once."""
    return sorted({term for text in texts for term in terms(text)})


def _overlap(one: Collection[str], other: Collection[str]) -> float:
    if not one or not other:
        return 0.0
    return len(set(one) & set(other)) / math.sqrt(len(one) * len(other))
