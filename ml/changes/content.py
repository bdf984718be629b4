"""How far does what changes say of themselves speak of the trouble?  Without a diff there is nothing else to go by."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from ml.changes.families import FAMILY_PATTERNS, words_of

# Nearly everything that breaks is slow or failing, so that both change and alert speak of it says nothing.
_TELLING_NOTHING = frozenset({"slow", "failing"})
_WORDS, _FAMILY = 0.7, 0.3
_MANY_RARE_WORDS = 3


def in_common(changes: Sequence[str], trouble: str, *, names: Iterable[str] = ()) -> list[float]:
    """For each change's texts how much of them the trouble's texts share, from 0 to 1.

    A word counts the more, the fewer of the changes use it; the words of `names` (services, which are compared
    elsewhere) don't count.
    """
    unsaid = set(words_of(" ".join(names)))
    sought = set(words_of(trouble)) - unsaid
    families = _families(trouble) - _TELLING_NOTHING
    used = [set(words_of(text)) for text in changes]
    frequency = Counter(word for words in used for word in words)
    whole = _MANY_RARE_WORDS * math.log(len(changes) + 2)
    found = []
    for text, words in zip(changes, used, strict=True):
        common = sum(math.log((len(changes) + 2) / (1 + frequency[word])) for word in words & sought)
        shared = bool(families & _families(text))
        found.append(_WORDS * min(1.0, common / whole) + _FAMILY * shared)
    return found


def _families(text: str) -> frozenset[str]:
    lower = text.lower()
    return frozenset(name for name, pattern in FAMILY_PATTERNS if pattern.search(lower))
