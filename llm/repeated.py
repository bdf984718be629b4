"""Does a sentence of the model come out of a text that strangers wrote, whatever the language?

Orders are known by their English words (see `planted`); this compares words with words and knows none.

As advice, no clause repeats five words in a row, nor is it a piece of such a text from end to end. Two things may be
said all the same: words of our lists and names alone, as in "p99 latency of checkout is above 2s", since an English
order is known by its verb; and anything after a verb that only looks ("Find out why ...").

The model is asked to answer in English. So no clause at all, of a cause either, may for the most part be made of what
a stranger wrote in another language. A runbook's words are our own people's and may always be repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from llm.fence import neutral
from llm.words import words

_KNOWN = frozenset().union(
    *map(words, ("actions", "after_a_noun", "before_a_number", "before_a_service", "common", "polite", "small"))
)
_POLITE, _SMALL, _LOOKING = words("polite"), words("small"), words("looking")
# Scripts that put no space between words.
_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
# What punctuation joins is one word: the name of a pod, of a metric, of an image.
_WORD = re.compile(rf"[{_SPACELESS}]|(?:(?![{_SPACELESS}])\w)+(?:[-_.:/+](?:(?![{_SPACELESS}])\w)+)*")
_CLAUSE = re.compile(
    r"[.;!?:,()\"\u2039\u203a\u3001\u3002\uff0c]+(?:\s|$)|[\r\n]+|\s-+\s|\b(?:and|then|or|but)\s", re.IGNORECASE
)
_SENTENCE = re.compile(r"[.;!?]+(?:\s|$)|[\r\n]+|\u3002")
_RUN = 5.0  # words; a letter of a script without spaces is about half a word
_LEAST_WHOLE = 3.0
_LEAST_SHARED = 2
_LEAST_OF_A_LANGUAGE = 5  # words of which a language can be told
# Of English texts of alerts our lists have a third of the words at the least, of others a quarter at most.
_MOST_KNOWN = 0.3
_BEGINNING = 5  # letters that the forms of a word have in common: "lösche", "löschen"


@dataclass(frozen=True, slots=True)
class Said:
    """What strangers wrote into a case, and what a runbook of it says: each text as its words, with a space between."""

    texts: tuple[str, ...]
    foreign: tuple[str, ...]  # sentences of them that are not English
    beginnings: tuple[frozenset[str], ...]  # of the words of each such sentence
    runbooks: tuple[str, ...]
    names: frozenset[str]


def said_in(texts: Iterable[str], runbooks: Iterable[str], names: Iterable[str]) -> Said:
    """The texts of strangers and of runbooks; `names` are what services and hosts of the case are called."""
    known = frozenset(word for name in names for word in _words(name))
    every = [neutral(text) for text in texts]
    sentences = [_words(sentence) for text in dict.fromkeys(every) for sentence in _SENTENCE.split(text)]
    foreign = [told for told in sentences if _is_foreign(told, known)]
    return Said(
        texts=tuple(dict.fromkeys(_padded(_words(text)) for text in every)),
        foreign=tuple(map(_padded, foreign)),
        beginnings=tuple(frozenset(map(_beginning, told)) for told in foreign),
        runbooks=tuple(_padded(_words(neutral(text))) for text in runbooks),
        names=known,
    )


def repeats(sentence: str, said: Said, *, is_advice: bool) -> bool:
    """Whether the sentence must not be handed on, because it only hands on what a stranger wrote."""
    sentence = neutral(sentence)
    only_looks = next(iter(_impolite(_words(sentence))), "") in _LOOKING
    clauses = [clause for part in _CLAUSE.split(sentence) if (clause := _impolite(_words(part)))]
    if any(_is_of_a_foreign_text(clause, said) for clause in clauses):
        return True
    return is_advice and not only_looks and any(_is_a_piece(clause, said) for clause in clauses)


def _is_a_piece(clause: list[str], said: Said) -> bool:
    runs = [clause] if _length(clause) >= _LEAST_WHOLE else []
    runs.extend(_runs(clause))
    return any(_any_has(said.texts, run) and not _any_has(said.runbooks, run) and _strange(run, said) for run in runs)


def _runs(clause: list[str]) -> Iterator[list[str]]:
    """Each stretch that is just long enough to be a repetition."""
    for start in range(len(clause)):
        end = start + int(_RUN)
        while end < len(clause) and _length(clause[start:end]) < _RUN:
            end += 1
        if _length(clause[start:end]) >= _RUN:
            yield clause[start:end]


def _is_of_a_foreign_text(clause: list[str], said: Said) -> bool:
    if not said.foreign or _any_has(said.runbooks, clause):
        return False
    if _length(clause) >= _LEAST_WHOLE and _strange(clause, said) and _any_has(said.foreign, clause):
        return True
    telling = [word for word in clause if word not in _SMALL and word not in said.names]
    own = {_beginning(word) for word in _strange(telling, said) if not _is_spaceless(word)}
    most = max((own & beginnings for beginnings in said.beginnings), key=len)
    return len(most) >= _LEAST_SHARED and sum(_beginning(word) in most for word in telling) > len(telling) / 2


def _is_foreign(told: list[str], names: frozenset[str]) -> bool:
    spoken = [word for word in told if word.isalpha() and word not in names and not _is_a_letter(word)]
    return len(spoken) >= _LEAST_OF_A_LANGUAGE and sum(map(_is_known, spoken)) < _MOST_KNOWN * len(spoken)


def _strange(told: list[str], said: Said) -> list[str]:
    """The words of a language that our lists don't have: no names, no numbers."""
    return [word for word in told if word.isalpha() and word not in said.names and not _is_known(word)]


def _is_known(word: str) -> bool:
    if word in _KNOWN or _is_a_letter(word):
        return True
    stems = (word.removesuffix(ending) for ending in ("s", "es", "ed", "ing", "ly") if word.endswith(ending))
    return word.endswith(("ed", "ing")) or any(stem in _KNOWN for stem in stems)


def _is_a_letter(word: str) -> bool:
    return len(word) == 1 and word.isascii()


def _beginning(word: str) -> str:
    return word[:_BEGINNING]


def _impolite(told: list[str]) -> list[str]:
    start = next((place for place, word in enumerate(told) if word not in _POLITE and not word.isdigit()), len(told))
    return told[start:]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _length(told: list[str]) -> float:
    return sum(0.5 if _is_spaceless(word) else 1.0 for word in told)


def _is_spaceless(word: str) -> bool:
    return len(word) == 1 and re.match(rf"[{_SPACELESS}]", word) is not None


def _padded(told: list[str]) -> str:
    return f" {' '.join(told)} "


def _any_has(texts: Iterable[str], told: list[str]) -> bool:
    run = _padded(told)
    return any(run in text for text in texts)
