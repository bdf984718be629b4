"""What does a selector in the words of Prometheus ask for, and how is one written?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

from db.queries.labels import Matcher, Operator
from db.queries.series_reads import Selector

_NO_NAME = re.compile(r"[\s}()\[\]<>\"'`,=!~]")
_MATCHER = re.compile(
    r"""(?P<label>[A-Za-z_][A-Za-z0-9_.:]*|"(?:[^"\\]|\\.)*")\s*
        (?P<operator>=~|!~|!=|=)\s*
        (?P<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)\s*""",
    re.VERBOSE | re.DOTALL,
)
_QUOTED_NAME = re.compile(r'("(?:[^"\\]|\\.)*")\s*', re.DOTALL)
_SPACE = re.compile(r"\s*")
_COMMA = re.compile(r",\s*")
_BARE_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_.:]*")
_CLOSE = re.compile(r"\}\s*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}
_TO_ESCAPE = str.maketrans({character: f"\\{letter}" for letter, character in _ESCAPED.items() if letter != "'"})


class BadSelector(ValueError):
    """The text is no selector; the message says where it stops being one."""


def parse(text: str) -> Selector:
    """The selector: `name`, `name{label="value",...}` or `{__name__="name",...}`.

    Operators are =, !=, =~ and !~. Raises BadSelector, also when no metric is named.
    """
    name, brace, inside = text.strip().partition("{")
    name = name.rstrip()
    if _NO_NAME.search(name):
        raise BadSelector('name one metric, then labels in braces, as in up{job="node"}')
    matchers = list(_matchers(brace + inside)) if brace else []
    names = [name] if name else []
    for matcher in matchers:
        if matcher.name == "__name__":
            if matcher.operator != "=":
                raise BadSelector("the metric's name can only be asked for with =")
            names.append(matcher.value)
    if len(set(names)) != 1 or not names[0]:
        raise BadSelector('name one metric, as in up{job="node"}')
    return Selector(names[0], tuple(matcher for matcher in matchers if matcher.name != "__name__"))


def written(selector: Selector) -> str:
    """The selector as text that `parse` reads; one that names no metric has only its braces."""
    name = selector.metric_name or ""
    is_bare = not _NO_NAME.search(name) and "{" not in name
    conditions = [] if is_bare else [_quoted(name)]
    for matcher in selector.matchers:
        label = matcher.name if _BARE_LABEL.fullmatch(matcher.name) else _quoted(matcher.name)
        conditions.append(f"{label}{matcher.operator}{_quoted(matcher.value)}")
    return name * is_bare + ("{" + ",".join(conditions) + "}" if conditions else "")


def _matchers(braces: str) -> Iterator[Matcher]:
    position = _skip(_SPACE, braces, 1)
    while (after := _skip(_CLOSE, braces, position)) == position:
        matcher, position = _matcher(braces, position)
        yield matcher
        after_comma = _skip(_COMMA, braces, position)
        if after_comma == position and _skip(_CLOSE, braces, position) == position:
            raise BadSelector(f"expected a comma or a closing brace after {braces[:position].rstrip()}")
        position = after_comma
    if after < len(braces):
        raise BadSelector("nothing may follow the closing brace")


def _matcher(braces: str, position: int) -> tuple[Matcher, int]:
    matched = _MATCHER.match(braces, position)
    if matched is not None:
        label = matched["label"]
        name = _unquoted(label) if label.startswith('"') else label
        operator = cast(Operator, matched["operator"])  # the pattern lets no other through
        return Matcher(name, operator, _unquoted(matched["value"])), matched.end()
    # {"name"} names the metric, for names that need quotes.
    quoted = _QUOTED_NAME.match(braces, position)
    if quoted is None:
        raise BadSelector(f'expected label="value" after {braces[:position].rstrip()}')
    return Matcher("__name__", "=", _unquoted(quoted[1])), quoted.end()


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    matched = pattern.match(text, position)
    return position if matched is None else matched.end()


def _quoted(text: str) -> str:
    return '"' + text.translate(_TO_ESCAPE) + '"'


def _unquoted(text: str) -> str:
    inner = text[1:-1]
    return inner if text[0] == "`" else "".join(_unescaped(inner))


def _unescaped(inner: str) -> Iterator[str]:
    position = 0
    for escape in _ESCAPE.finditer(inner):
        yield inner[position : escape.start()]
        if escape[1] not in _ESCAPED:
            raise BadSelector(f"\\{escape[1]} is not an escape; write \\\\{escape[1]} for a pattern")
        yield _ESCAPED[escape[1]]
        position = escape.end()
    yield inner[position:]
