"""What can the shape of a change break: loops, stores that grow, switches, addresses, lists?"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ml.changes.diffs import CONFIG_FILE, Hunk
from ml.changes.lines import normal
from ml.changes.quantities import likeness, plain_quantities
from ml.changes.rules import Hazard, hazard_named

_GLOBAL_STORE = re.compile(
    r"^(var|static|private static|public static|let|const|export (const|"
    r"let))?\s*(\w+)\s*(:[^=]+|\[\][\w.*]+|map\[.*)?\s*"
    r"(=\s*(\[\]|\{\}|\[\][\w.]+\{\}|map\[.*|make\(map.*|new (Map|"
    r"Set|Array|HashMap|ArrayList|ConcurrentHashMap).*|dict\(\)|list\(\)|defaultdict.*))?$"
)


_GROWTH = re.compile(r"(\w+)\s*=\s*append\(\s*\1\b|(\w+)\.(append|push|add|put|set|insert)\(|(\w+)\[[^\]]+\]\s*=(?!=)")


_BOUND = re.compile(
    r"evict|lru|\bmax\w*|\bcap\b|limit|trim|\[:|\[1:|reset|ttl|expir|"
    r"bounded|delete\(|pop\(|clear\(|shift\(|flush|drain",
    re.I,
)


_LOOP = re.compile(r"^\s*for\b.*(\brange\b|\bin\b|\bof\b|;|:)|^\s*while\b|\.(forEach|map|each)\(")


_REMOTE_CALL = re.compile(
    r"\.(query\w*|exec\w*|find\w*|fetch\w*|select\w*|get\w+|load\w*|call|request\w*|do|send\w*|rpc)\(", re.I
)


_SPAWN = re.compile(r"^\s*go\s+(func|\w)|setInterval\(|new Thread|Thread\(target|create_task\(|\.submit\(|spawn\(")


_STOPPED = re.compile(r"ctx\.Done|defer|clearInterval|\.join\(|stop|cancel|shutdown|timeout", re.I)


_FLAG = re.compile(r"([A-Za-z_][\w.\-]*)[\"']?\s*[:=]\s*[\"']?(true|false|enabled|disabled|on|off)\b", re.I)


_NAMED_STRING = re.compile(r"([A-Za-z_][\w.\-]*)[\"']?\s*(?::=|[:=])\s*[\"']?([A-Za-z/][\w./:@\-]{2,})[\"']?\s*,?$")


_QUOTED = re.compile(r"[\"'`]([^\"'`]+)[\"'`]")


_ADDRESS = re.compile(
    r"host|url|uri|addr|endpoint|port|topic|queue|bucket|region|"
    r"table|schema|database|db|path|image|secret|key|role|arn|cluster|namespace|selector|env|group|ack",
    re.I,
)


_TAG = re.compile(
    r"\b(?:json|db|yaml|xml|bson|avro|protobuf|column|field|process\.env|"
    r"environ|getenv|env|getProperty)\b\W{1,5}([\w.\-]+)",
    re.I,
)


def setting_hazards(hunks: Sequence[Hunk]) -> list[Hazard]:
    """Flags that flip, addresses and names that change."""
    found: list[Hazard] = []
    for hunk in hunks:
        old = {key: value.lower() for line in hunk.removed for key, value in _FLAG.findall(line)}
        for line in hunk.added:
            for key, value in _FLAG.findall(line):
                if key in old and old[key] != value.lower():
                    found.append(hazard_named(f"switch {key}", 0.6, "failing missing overload slow crash auth"))
        before = {m.group(1): m.group(2) for line in hunk.removed if (m := _NAMED_STRING.search(line.strip()))}
        for line in hunk.added:
            match = _NAMED_STRING.search(line.strip())
            if (
                match
                and match.group(1) in before
                and before[match.group(1)] != match.group(2)
                and _ADDRESS.search(match.group(1))
            ):
                found.append(hazard_named(f"other {match.group(1)}", 0.65, "connection missing auth failing"))
        for before_line in hunk.removed:
            for line in hunk.added:
                found += list_hazards(before_line, line) + pair_hazards(before_line, line)
        tags_old = {tag for line in hunk.removed for tag in _TAG.findall(line)}
        tags_new = {tag for line in hunk.added for tag in _TAG.findall(line)}
        if tags_old - tags_new and tags_new - tags_old:
            found.append(hazard_named("renamed field", 0.75, "format missing validation crash failing stale"))
    return found


def list_hazards(before: str, after: str) -> list[Hazard]:
    """Entries that left a list, a schedule that changed, labels whose values nobody can count."""
    if likeness(before, after) < 0.6 or before == after:
        return []
    old, new = set(_QUOTED.findall(before)), set(_QUOTED.findall(after))
    found: list[Hazard] = []
    if len(old) > 1 and new < old:
        found.append(hazard_named("entry of a list gone", 0.65, "auth missing failing connection"))
    if re.search(r"schedule|cron", before, re.I) and old != new:
        found.append(hazard_named("other schedule", 0.5, "overload cpu database lag stale"))
    if re.search(r"label|tag|attribute", before, re.I) and re.search(r"label|tag|attribute", after, re.I):
        counted = re.compile(r"(user|session|request|trace|customer|tenant|email|uuid|url|path)\w*|\w*_?id\b", re.I)
        if len(counted.findall(after)) > len(counted.findall(before)):
            found.append(hazard_named("labels without end", 0.7, "memory volume cpu disk exhausted"))
    return found


def growth_hazards(hunks: Sequence[Hunk]) -> list[Hazard]:
    """A store outside every function that only grows."""
    added = [line for hunk in hunks for line in hunk.added]
    context = [line for hunk in hunks for line in hunk.context]
    stores = {
        m.group(3) for line in [*added, *context] if line[:1].strip() and (m := _GLOBAL_STORE.match(line.rstrip()))
    }
    grown = {
        name for line in added for groups in _GROWTH.findall(line) for name in (groups[0], groups[1], groups[3]) if name
    }
    fields = {
        name
        for name in grown
        if any(re.search(rf"\b(self|this|s|c|h|svc|srv|r)\.{re.escape(name)}\b", line) for line in added)
    }
    bounded = any(_BOUND.search(line) for line in added)
    if bounded:
        return []
    if stores & grown:
        return [hazard_named("store that only grows", 0.95, "memory exhausted crash slow")]
    return [hazard_named("field that only grows", 0.6, "memory exhausted crash slow")] if fields else []


def shape_hazards(hunks: Sequence[Hunk]) -> list[Hazard]:
    """Calls inside new loops, workers nobody stops, turned conditions."""
    found: list[Hazard] = []
    for hunk in hunks:
        looping = False
        for line in hunk.added:
            if looping and _REMOTE_CALL.search(line):
                found.append(hazard_named("call per item", 0.75, "slow database timeout overload exhausted"))
                break
            looping = looping or bool(_LOOP.search(line))
        if any(_SPAWN.search(line) for line in hunk.added) and not any(_STOPPED.search(line) for line in hunk.added):
            found.append(hazard_named("worker nobody stops", 0.65, "memory exhausted cpu crash"))
        turned = any(
            _operators_only(before, after) for before in hunk.removed for after in hunk.added if before != after
        )
        if turned:
            found.append(hazard_named("turned condition", 0.65, "failing validation stale crash missing auth overload"))
    return found


def _operators_only(before: str, after: str) -> bool:
    strip = [re.sub(r"\s+", "", re.sub(r"[<>=!&|+\-*/%]|\bnot\b", "", line)) for line in (before, after)]
    comparing = [re.findall(r"[<>=!]=?|&&|\|\||\bnot\b", line) for line in (before, after)]
    return strip[0] == strip[1] and comparing[0] != comparing[1] and bool(comparing[0])


def pair_hazards(before: str, after: str) -> list[Hazard]:
    """What lines that are else alike can differ in: width of a number, a key of a cache, room in a channel."""
    if before == after or likeness(before, after) < 0.6:
        return []
    found: list[Hazard] = []
    width = re.compile(
        r"\b(u?int(?:8|16|32|64)?|float(?:32|64)?|long|short|double|bigint|smallint|integer|decimal)\b", re.I
    )
    if (old := width.findall(before)) and (new := width.findall(after)) and old != new:
        found.append(hazard_named("other width of a number", 0.6, "validation crash stale format failing"))
    if re.search(r"cache.*key|key.*cache|partition_?key|shard_?key|hash_?key", before, re.I) and normal(
        before
    ) != normal(after):
        found.append(hazard_named("other key", 0.6, "cache slow database overload lag stale"))
    roomy = re.search(r"chan\b|queue|buffer|pool|executor|semaphore", before, re.I)
    if roomy and len(plain_quantities(before)) > len(plain_quantities(after)):
        found.append(hazard_named("room gone", 0.7, "exhausted contention slow lag overload memory"))
    return found


def file_hazards(hunks: Sequence[Hunk]) -> list[Hazard]:
    """What only the kind of file tells: settings that went, numbers of wire fields, base images, order of locks."""
    found: list[Hazard] = []
    for hunk in hunks:
        changed = hunk.removed and hunk.added
        if hunk.file.endswith((".proto", ".avsc", ".thrift")) and hunk.removed:
            found.append(hazard_named("wire format", 0.75, "format missing validation crash failing stale"))
        if "dockerfile" in hunk.file.lower() and changed and any(re.match(r"\s*FROM\b", line) for line in hunk.added):
            found.append(hazard_named("base image", 0.3, "crash missing failing connection memory slow"))
        if CONFIG_FILE.search(hunk.file) and hunk.removed and not hunk.added:
            found.append(hazard_named("setting gone", 0.55, "missing auth connection failing crash exhausted"))
        locks = [
            [normal(line) for line in lines if re.search(r"lock", line, re.I)] for lines in (hunk.removed, hunk.added)
        ]
        if locks[0] != locks[1] and len(locks[0]) > 0 and sorted(locks[0]) == sorted(locks[1]):
            found.append(hazard_named("order of locks", 0.8, "contention timeout slow exhausted"))
    return found
