"""What is an OpenTelemetry metric, and an attribute, called in Prometheus?

Source: OpenTelemetry, "Prometheus and OpenMetrics Compatibility", and the units of Prometheus' own OTLP receiver,
whose default (UnderscoreEscapingWithSuffixes) this is: a metric that is also scraped has one name here.
"""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["gauge", "counter", "sum"]  # a counter is a monotonic sum

_UNITS = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds",
    "ns": "nanoseconds", "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes",
    "TiBy": "tibibytes", "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes",
    "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams", "Cel": "celsius",
    "Hz": "hertz", "1": "", "%": "percent",
}  # fmt: skip
_PER = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_WORD = re.compile(r"[A-Za-z0-9:]+")
_NO_WORD = re.compile(r"[^A-Za-z0-9]+")


def metric_name(name: str, unit: str, kind: Kind) -> str:
    """The name with its unit and the suffix of its kind: `http.duration` in `s` is `http_duration_seconds`."""
    words = _WORD.findall(name)
    main, _, per = unit.partition("/")
    main_word = _unit_word(main, _UNITS)
    if main_word and main_word not in words:
        words.append(main_word)
    per_word = _unit_word(per, _PER)
    if per_word and per_word not in words:
        words += ["per", per_word]
    if kind == "counter":
        words = [*(word for word in words if word != "total"), "total"]
    if kind == "gauge" and unit == "1":
        words = [*(word for word in words if word != "ratio"), "ratio"]
    return _not_a_digit_first("_".join(words), "_")


def label_name(attribute: str) -> str:
    """The name of the label of an attribute: `http.method` is `http_method`."""
    return _not_a_digit_first(_NO_WORD.sub("_", attribute), "key_")


def _unit_word(unit: str, words: dict[str, str]) -> str:
    unit = unit.strip()
    if "{" in unit or "}" in unit:
        return ""  # A remark, such as {requests}.
    return words.get(unit, _NO_WORD.sub("_", unit).strip("_"))


def _not_a_digit_first(name: str, prefix: str) -> str:
    return prefix + name if name[:1].isdigit() else name
