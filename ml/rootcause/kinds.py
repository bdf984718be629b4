"""What kind of metric is this, and which direction is bad?  By the general vocabulary of exporters."""

from __future__ import annotations

import re

from ml.rootcause.incident import Settings

# First match wins. General vocabulary of exporters (Prometheus, cAdvisor, Istio, CloudWatch, OpenTelemetry).
_KIND_PATTERNS: tuple[tuple[str, str], ...] = (
    ("success", r"succ|availability|(?<!un)health|uptime|hit_?(rate|ratio)|(^|[_\W])(up|ok)($|[_\W])"),
    (
        "error",
        r"err|fail|exception|fault|[45]xx|abort|reject|time_?out|retrans|drop|loss|lost|throttl|restart|oom|unhealth",
    ),
    ("outgoing", r"(client|outbound|egress|upstream).*(lat|p\d\d|dur|time)"),
    (
        "latency",
        r"lat(ency|\d|_|$)|duration|resp.*time|(^|[_\W])rt($|[_\W])|(^|[_\W])p\d\d(\d|_|\W|$)|p\d\d$|delay|elapsed|quantile|[_\W]lag($|[_\W])|pause",
    ),
    ("cpu", r"cpu|processor|load_?(avg|average|1|5|15)$"),
    ("memory", r"mem|heap|rss|working_set|swap"),
    ("disk", r"disk|filesystem|(^|[_\W])(fs|io|iops|blk)($|[_\W])|block_|volume|iowait"),
    ("network", r"net|(^|[_\W])[rt]x($|[_\W])|recv|receive|transmit|sent|packet|socket|tcp|bandwidth"),
    ("system", r"sysc|thread|(^|[_\W])fds?($|[_\W])|file_desc|context_sw|process"),
    ("workload", r"work|load|req|[rqt]ps|through|count|rate|calls?|hits|traffic|ops|queue|invocation"),
)


LOST_CALLS = "lost calls"  # pseudo-kind: calls to a callee for each call of the caller; only a fall is bad


TRANSIT = "transit"  # pseudo-kind: latency seen by the caller over latency measured at the service


_KINDS = tuple((kind, re.compile(pattern)) for kind, pattern in _KIND_PATTERNS)


_DOWNWARD = frozenset({"success", LOST_CALLS})


_UPWARD = frozenset({TRANSIT, "error", "outgoing", "latency", "cpu", "memory", "disk"})  # only a rise is bad


SYMPTOM = {"success": "failures", "error": "failures", "latency": "latency"}  # what spreads to callers


RESOURCES = frozenset({"cpu", "memory", "disk"})  # a resource in trouble explains its callers


SPEAKING = RESOURCES | {"silence", LOST_CALLS, TRANSIT}  # evidence for the service it is seen at, whatever others show


_HEADROOM = re.compile(r"free|idle|avail|remaining|headroom|unused")  # of a resource: a fall is bad


def kind_of(metric: str) -> str:
    name = metric.lower()
    for kind, pattern in _KINDS:
        if pattern.search(name):
            return kind
    return "unknown"


def direction_of(metric: str) -> int:
    """1 when a rise is bad, -1 when a fall is, 0 when either may be."""
    kind = kind_of(metric)
    if kind in _DOWNWARD or (kind in RESOURCES and _HEADROOM.search(metric.lower())):
        return -1
    return 1 if kind in _UPWARD else 0


def weight(kind: str, settings: Settings) -> float:
    if kind == "workload":
        return settings.weight_workload
    if kind in ("network", "system", "outgoing"):
        return settings.weight_traffic
    if kind == LOST_CALLS:
        return settings.lost_calls
    return settings.weight_unknown if kind == "unknown" else 1.0
