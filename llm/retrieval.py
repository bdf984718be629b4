"""How much do texts have to do with a question, by the words that they share?"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from llm.words import words

_SMALL = words("small")
# `orders-db` is a word of its own, and so are its parts.
_NAME = re.compile(r"[^\W_]+(?:[-_.][^\W_]+)*", re.UNICODE)
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+|\d+")
_LONGEST_TERM = 80
_MOST_TERMS = 4_000
# So many rare words in common make a text certain.
_ENOUGH = 4.0
_SATURATION = 1.2


def terms(text: str) -> list[str]:
    """The words of a text in small letters, a name that is put together beside its parts, small words left out."""
    found: list[str] = []
    for match in _NAME.finditer(text):
        whole = match.group()
        parts = [part.lower() for part in _PART.findall(whole)]
        if len(parts) > 1:
            found.append(whole.lower()[:_LONGEST_TERM])
        found += [_singular(part)[:_LONGEST_TERM] for part in parts if part not in _SMALL and len(part) > 1]
        if len(found) >= _MOST_TERMS:
            break
    return found


def scores(question: Mapping[str, float], documents: Sequence[Iterable[str]]) -> list[float]:
    """For each document (its terms) how much it has to do with the question (terms and their weight), from 0 to 1.

    A word counts the more, the fewer of the documents have it; that it comes again adds little.
    """
    counts = [Counter(document) for document in documents]
    frequency = Counter(term for count in counts for term in count)
    rarest = math.log(len(counts) + 2)
    found = []
    for count in counts:
        total = 0.0
        for term, weight in question.items():
            if times := count[term]:
                rarity = math.log((len(counts) + 2) / (frequency[term] + 1)) or 0.0
                total += weight * max(rarity, 0.1) * (1 + _SATURATION) * times / (times + _SATURATION)
        found.append(min(1.0, total / (_ENOUGH * rarest)))
    return found


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
