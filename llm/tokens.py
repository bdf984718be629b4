"""How many tokens may a text cost, at most?

No tokenizer is at hand and each model has its own, so this is a careful upper estimate, tuned to the small vocabularies
(Llama 2: 32,000 tokens): a lower-case run costs a token per three letters, an upper-case run one per two, each
digit, sign and line break one, each byte beyond ASCII one, and the space before a letter nothing. Prose is
overestimated, which costs some evidence; an underestimate would cost the beginning of the prompt, without an error.
"""

from __future__ import annotations

import re

_PIECE = re.compile(r" ?(?:[a-z]+|[A-Z]+)|.", re.DOTALL)


def estimate(text: str) -> int:
    """The most tokens that a usual tokenizer makes of the text."""
    return sum(_cost(match.group()) for match in _PIECE.finditer(text))


def clip(text: str, most: int) -> str:
    """The text, or its beginning and "…" when it may cost more than `most` tokens."""
    spent, fits, mark = 0, 0, _cost("…")
    for match in _PIECE.finditer(text):
        spent += _cost(match.group())
        if spent > most:
            return text[:fits].rstrip() + "…" if most >= mark else ""
        if spent + mark <= most:
            fits = match.end()
    return text


def _cost(piece: str) -> int:
    word = piece.removeprefix(" ")
    if word and "a" <= word[0] <= "z":
        return -(-len(word) // 3)
    if word and "A" <= word[0] <= "Z":
        return -(-len(word) // 2)
    return len(piece.encode("utf-8", "replace"))
