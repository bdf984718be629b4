"""How is an alert named, so that a person knows it and no other alert has the same name?"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from llm.evidence import Subject
from llm.fence import neutral
from llm.planted import harmless, reads_like_an_order
from llm.relevance import identity
from llm.wording import clipped, labels_text

_LONGEST_NAME = 160
_IDENTITY_LABELS = 3
_MOST_FURTHER, _LONGEST_VALUE = 10, 60
_SAID_IN_THE_NAME = "alertname"
# What is written like this can be read back from a list of labels, so that two different ones never look the same.
_PLAIN_NAME = re.compile(r"\w[\w.:/-]*")
_PLAIN_VALUE = re.compile(r"[\w.:/@%+*~-]+(?: [\w.:/@%+*~-]+)*")
_HEXADECIMAL = re.compile(r"[0-9a-f]{1,64}")


def short_name(subject: Subject) -> str:
    """The alert's name with the labels that tell most of it: `HighLatency (service=checkout, severity=critical)`."""
    name, shown = subject.alert_name, labels_of_name(subject)
    said = "the alert" if reads_like_an_order(name, is_title=True) else clipped(neutral(name), _LONGEST_NAME)
    return f"{said} ({shown})" if shown else said


def particulars(subject: Subject) -> str:
    """What the short name leaves out: further labels and the start.

    Together with `short_name` it is said of no other alert: where the labels can't be told in full, or don't make the
    fingerprint, that is named as well.
    """
    further = _further(subject.labels)
    told = {name: clipped(neutral(value), _LONGEST_VALUE) for name, value in list(further.items())[:_MOST_FURTHER]}
    labels = f"Further labels: {neutral(labels_text(told, _MOST_FURTHER))}. " if told else ""
    start = f"It began at {_moment(subject.starts_at)}"
    if _is_told_in_full(subject, further):
        return f"{labels}{start}."
    return f"{labels}{start}; its fingerprint is {_fingerprint(subject.fingerprint)}."


def labels_of_name(subject: Subject) -> str:
    """The labels in the short name, or "" when none is fit to be shown."""
    shown = _shown(subject.labels)
    return clipped(neutral(labels_text(shown, len(shown))), _LONGEST_NAME)


def _shown(labels: Mapping[str, str]) -> dict[str, str]:
    fit = harmless(labels)
    shown = dict(list(identity(fit).items())[:_IDENTITY_LABELS])
    # Warning and critical are often two rules of one name.
    return shown | ({"severity": fit["severity"]} if fit.get("severity") else {})


def _further(labels: Mapping[str, str]) -> dict[str, str]:
    said = {*_shown(labels), _SAID_IN_THE_NAME}
    return {name: value for name, value in sorted(harmless(labels).items()) if name not in said}


def _is_told_in_full(subject: Subject, further: Mapping[str, str]) -> bool:
    labels, shown = subject.labels, _shown(subject.labels)
    return (
        subject.fingerprint_is_of_labels
        and labels.get(_SAID_IN_THE_NAME) == subject.alert_name
        and len(labels) == 1 + len(shown) + len(further)
        and len(further) <= _MOST_FURTHER
        and len(labels_text(shown, len(shown))) <= _LONGEST_NAME
        and all(len(value) <= _LONGEST_VALUE for value in further.values())
        and not reads_like_an_order(subject.alert_name, is_title=True)
        and all(_is_plain(name, value) for name, value in labels.items())
    )


def _is_plain(name: str, value: str) -> bool:
    return bool(
        _PLAIN_NAME.fullmatch(name)
        and _PLAIN_VALUE.fullmatch(value)
        and neutral(name) == name
        and neutral(value) == value
        and len(value) <= _LONGEST_NAME
    )


def _moment(at: datetime) -> str:
    at = at.astimezone(UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}{f'.{at.microsecond:06}' if at.microsecond else ''} UTC"


def _fingerprint(text: str) -> str:
    if _HEXADECIMAL.fullmatch(text):
        return text
    # A sender may call anything a fingerprint, also what must not come out as advice.
    return f"of SHA-256 {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
