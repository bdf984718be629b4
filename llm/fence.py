"""How is text of strangers put before a model without its being taken for ours?

It stands between two marks made of angle brackets, and inside it no angle bracket is left. So no text can end the fence
early, whatever it contains, and the marks need no random part, which would make every question different from the last.
"""

from __future__ import annotations

import re
import unicodedata

OPENING = "<<<DATA"
CLOSING = "DATA>>>"

# Chat templates are plain text to the server: "[INST]" or "<|im_start|>" inside an annotation would
# become the control token and start a new turn of the conversation.
_TURN_MARK = re.compile(r"\[(/?[A-Z][A-Z_ ]+)\]")
_SPACE = re.compile(r"\s+")
_HARMLESS = str.maketrans({"<": "\u2039", ">": "\u203a", '"': "'", "`": "'"})
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn"}
_LONGEST = 4000


def neutral(text: str) -> str:
    """The text on one line, readable, and unable to close the fence, open a turn or hide a character."""
    text = text[:_LONGEST]
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)[:_LONGEST]
    visible = "".join(" " if unicodedata.category(char) in _INVISIBLE else char for char in text)
    return _TURN_MARK.sub(r"(\1)", _SPACE.sub(" ", visible).strip().translate(_HARMLESS))


def fenced(lines: list[str]) -> str:
    """The lines between the two marks; each line was made of `neutral` text and our own words."""
    return "\n".join((OPENING, *lines, CLOSING))
