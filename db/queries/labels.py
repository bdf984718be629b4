"""Conditions on labels, as Prometheus reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from sqlalchemy import ColumnElement, func, not_
from sqlalchemy.orm import InstrumentedAttribute

from sensus.errors import Invalid

Operator = Literal["=", "!=", "=~", "!~"]
OPERATORS: tuple[Operator, ...] = get_args(Operator)

# Prometheus matches with RE2, which has neither; PostgreSQL has both, at a cost without bound.
_BACK_REFERENCE = re.compile(r"(?<!\\)(?:\\\\)*\\[1-9]")
_LOOK_AROUND = re.compile(r"\(\?[=!<]")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label; an absent label is an empty one, and a pattern must match the whole value."""

    name: str
    operator: Operator
    value: str


def condition(column: InstrumentedAttribute[dict[str, str]], matcher: Matcher) -> ColumnElement[bool]:
    """The matcher as SQL on a column of labels.  Raises Invalid for a pattern that Prometheus would refuse too."""
    if matcher.operator == "=" and matcher.value:
        return column.contains({matcher.name: matcher.value})  # the one form that an index answers
    value = func.coalesce(column[matcher.name].astext, "")
    if matcher.operator == "=":
        return value == ""
    if matcher.operator == "!=":
        return value != matcher.value
    if _BACK_REFERENCE.search(matcher.value) or _LOOK_AROUND.search(matcher.value):
        raise Invalid(f"the pattern for {matcher.name} has a back-reference or a look-around; write it without")
    whole = value.regexp_match(f"^(?:{matcher.value})$")
    return whole if matcher.operator == "=~" else not_(whole)
