"""How are times, labels and lists said to people and to models?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime


def relative_time(at: datetime | None, start: datetime) -> str:
    """How long before or after the alert's start something happened; never a clock time."""
    if at is None:
        return "at an unknown time"
    seconds = round((at - start).total_seconds())
    if abs(seconds) < 1:
        return "when the alert started"
    return f"{_length(abs(seconds))} {'before' if seconds < 0 else 'after'} the alert"


def labels_text(labels: Mapping[str, str], most: int = 4) -> str:
    """The first few labels as `name=value, name=value`."""
    return ", ".join(f"{name}={value}" for name, value in list(labels.items())[:most])


def clipped(text: str, most: int) -> str:
    """The text in at most `most` characters, cut at a word and marked with "…"."""
    if len(text) <= most:
        return text
    head = text[: most - 1]
    at_word = head.rsplit(None, 1)[0] if " " in head[most // 2 :] else head
    return at_word.rstrip(" ,;:") + "…"


def _length(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} days"
