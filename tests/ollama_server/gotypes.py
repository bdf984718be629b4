"""What does Go's decoder make of a request's values, and how does it complain?"""

from __future__ import annotations

import re
from collections.abc import Mapping

FOR_EVER_S = 100 * 365 * 86400.0

_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_STEP = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")
_OPTIONS = {
    "integer": "num_ctx num_batch num_gpu main_gpu num_thread num_keep seed num_predict top_k repeat_last_n",
    "float32": "top_p min_p typical_p temperature repeat_penalty presence_penalty frequency_penalty",
    "boolean": "use_mmap",
    "array": "stop",
}
_OPTION_TYPES = {name: kind for kind, names in _OPTIONS.items() for name in names.split()}
_GO_TYPES = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}


class BadRequest(Exception):
    """The body can't be decoded, with the decoder's words."""


class BadOption(Exception):
    """An option has the wrong type; the server answers that with 500."""


def duration_s(text: str) -> float:
    """Go's time.ParseDuration in seconds; negative means for ever.  Raises BadRequest."""
    sign = -1.0 if text.startswith("-") else 1.0
    rest = text.lstrip("+-")
    if rest == "0":
        return 0.0
    steps = _STEP.findall(rest)
    if not rest or "".join(number + unit for number, unit in steps) != rest:
        why = "missing unit in duration" if re.fullmatch(r"\d+\.?\d*", rest) else "invalid duration"
        raise BadRequest(f'time: {why} "{text}"')
    return sign * sum(float(number) * _UNITS_S[unit] for number, unit in steps)


def keep_alive_s(value: object) -> float:
    """How long a model stays loaded after the call.  Raises BadRequest."""
    if value is None:
        return 300.0
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadRequest(f"Unsupported type: '{type(value).__name__}'")
    seconds = duration_s(value) if isinstance(value, str) else float(value)
    return FOR_EVER_S if seconds < 0 else seconds


def field(body: Mapping[str, object], name: str, kind: type, request: str) -> object:
    """A field of the body, None when absent or null.  Raises BadRequest when it's of another type."""
    value = body.get(name)
    if value is None or (isinstance(value, kind) and not (kind is int and isinstance(value, bool))):
        return value
    raise BadRequest(
        f"json: cannot unmarshal {_GO_TYPES.get(type(value), 'value')} into Go struct field {request}.{name} "
        f"of type {_GO_TYPES[kind]}"
    )


def think(value: object) -> object:
    """`think` as bool or level.  Raises BadRequest."""
    if value is None or isinstance(value, bool) or value in ("low", "medium", "high", "max"):
        return value
    raise BadRequest(f'invalid think value: {value!r} (must be "high", "medium", "low", "max", true, or false)')


def options(values: Mapping[str, object]) -> dict[str, object]:
    """The known options.  Unknown ones are ignored, as the server does; raises BadOption for a wrong type."""
    known: dict[str, object] = {}
    for name, value in values.items():
        kind = _OPTION_TYPES.get(name)
        if kind is None or value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = {
            "integer": number,
            "float32": number,
            "boolean": isinstance(value, bool),
            "array": isinstance(value, list) and all(isinstance(item, str) for item in value),
        }[kind]
        if not fits:
            raise BadOption(f'option "{name}" must be of type {kind}')
        known[name] = int(value) if kind == "integer" and isinstance(value, int | float) else value
    return known
