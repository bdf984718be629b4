"""What can a changed number, a line that goes or a line that comes break?  Tables of general engineering knowledge."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Hazard:
    name: str
    strength: float  # how often such a change breaks something, 0..1
    families: frozenset[str]


def hazard_named(name: str, strength: float, families: str) -> Hazard:
    return Hazard(name, strength, frozenset(families.split()))


# What a smaller or larger number breaks, by the name it has: (pattern, when smaller, when larger)
NUMBER_RULES: tuple[tuple[re.Pattern[str], Hazard, Hazard], ...] = (
    (
        re.compile(r"initial_?delay|failure_?threshold|probe|grace", re.I),
        hazard_named("more impatient probe", 0.8, "crash failing timeout"),
        hazard_named("more patient probe", 0.2, "failing"),
    ),
    (
        re.compile(r"time_?out|deadline|budget", re.I),
        hazard_named("shorter time limit", 0.9, "timeout connection"),
        hazard_named("longer time limit", 0.35, "exhausted slow"),
    ),
    (
        re.compile(r"retr(y|ies)|attempt", re.I),
        hazard_named("fewer attempts", 0.85, "timeout exhausted connection contention"),
        hazard_named("more attempts", 0.6, "overload exhausted"),
    ),
    (
        re.compile(r"batch|records|prefetch|page_?size|chunk|fan_?out|parallel|concurr", re.I),
        hazard_named("smaller portions", 0.6, "lag overload exhausted slow"),
        hazard_named("larger portions", 0.6, "memory timeout database overload exhausted"),
    ),
    (
        re.compile(r"back_?off|interval|delay|period|poll|jitter|sleep|every|frequency|tick|schedule|cron", re.I),
        hazard_named("shorter pause", 0.7, "overload cpu database exhausted volume"),
        hazard_named("longer pause", 0.45, "lag stale timeout"),
    ),
    (
        re.compile(r"ttl|expir|max_?age|retention|cache", re.I),
        hazard_named("shorter life", 0.75, "cache database slow overload auth cpu"),
        hazard_named("longer life", 0.35, "stale memory disk auth"),
    ),
    (
        re.compile(r"sampl|verbos", re.I),
        hazard_named("less sampling", 0.1, "volume"),
        hazard_named("more sampling", 0.9, "disk volume cpu"),
    ),
    (
        re.compile(
            r"pool|conns?\b|connections|workers?|threads?|replicas?|limit|"
            r"quota|capacity|size|buffer|queue|memory|cpu|heap|burst|max",
            re.I,
        ),
        hazard_named("smaller capacity", 0.85, "exhausted overload memory slow cpu lag timeout crash"),
        hazard_named("larger capacity", 0.3, "memory exhausted database"),
    ),
    (
        re.compile(r"threshold|ratio|percent|weight|min|score|rate", re.I),
        hazard_named("other threshold", 0.45, "overload validation failing crash lag"),
        hazard_named("other threshold", 0.45, "overload validation failing crash lag"),
    ),
)


# What breaks when a line goes and nothing like it comes back.
REMOVAL_RULES: tuple[tuple[re.Pattern[str], Hazard], ...] = (
    (
        re.compile(r"\bLIMIT\b|\.limit\(|\.take\(|page_?size|\.slice\(0|\[:\s*\w+\]|paginat|\btop\s*\(", re.I),
        hazard_named("bound on results gone", 0.95, "slow database memory timeout cpu"),
    ),
    (
        re.compile(r"\bWHERE\b|\.where\(|\.filter\(", re.I),
        hazard_named("filter gone", 0.85, "slow database memory timeout stale"),
    ),
    (
        re.compile(r"(create|add)[ _]?index|db_index|\bindex\b.*\bon\b|@Index", re.I),
        hazard_named("index gone", 0.95, "slow database cpu timeout"),
    ),
    (
        re.compile(
            r"\b(close|cancel|unlock|release|free|dispose|shutdown|unsubscribe|stop|drain|return_?conn\w*)\w*\s*\(",
            re.I,
        ),
        hazard_named("release gone", 0.9, "memory exhausted contention connection timeout"),
    ),
    (
        re.compile(r"evict|prune|trim|clean_?up|expire|purge|rotate|compact|reset\(|\.delete\(|delete\(", re.I),
        hazard_named("clean-up gone", 0.9, "memory disk slow"),
    ),
    (
        re.compile(
            r"regist|seed|bootstrap|subscribe|mount|bind|provide|initiali[sz]e|"
            r"\binit\w*\(|preload|migrate|\.use\(|add_?(handler|route|listener)|load\w*\(",
            re.I,
        ),
        hazard_named("set-up gone", 0.9, "missing crash failing"),
    ),
    (
        re.compile(r"retry|back_?off|sleep|jitter", re.I),
        hazard_named("patience gone", 0.65, "timeout exhausted overload contention connection"),
    ),
    (re.compile(r"timeout|deadline", re.I), hazard_named("time limit gone", 0.75, "timeout exhausted slow memory")),
    (
        re.compile(r"cache|memoi[sz]e|singleflight|debounce|dedup", re.I),
        hazard_named("cache gone", 0.8, "slow database overload cpu cache stale"),
    ),
    (
        re.compile(r"\.r?lock\(|mutex|atomic|synchronized|transaction|begin\(|commit\(|for update|idempot", re.I),
        hazard_named("exclusion gone", 0.8, "stale contention crash"),
    ),
    (
        re.compile(r"auth|permission|role|scope|policy|grant|token|allow|cors", re.I),
        hazard_named("permission gone", 0.75, "auth failing"),
    ),
    (
        re.compile(
            r"(==|!=|\bis|\bis not)\s*(nil|null|none|undefined)\b|\?\?|\?\.|"
            r"valid|check|guard|assert|fallback|recover|catch|except|len\(|isempty|has_?key",
            re.I,
        ),
        hazard_named("guard gone", 0.6, "crash validation format failing stale"),
    ),
    (
        re.compile(r"rate_?limit|throttl|semaphore|circuit|breaker|bulkhead", re.I),
        hazard_named("brake gone", 0.85, "overload exhausted cpu"),
    ),
    (re.compile(r"\bawait\b", re.I), hazard_named("wait gone", 0.65, "stale crash missing failing")),
    (
        re.compile(r"^\s*(case|elif|else if|when)\b"),
        hazard_named("branch gone", 0.6, "missing failing crash validation"),
    ),
)


# What breaks when a line comes.
ADDITION_RULES: tuple[tuple[re.Pattern[str], Hazard], ...] = (
    (
        re.compile(r"UPDATE \w+ SET(?!.*\bWHERE\b)|DELETE FROM \w+\s*[;\"`']|backfill|reindex|full_?sync", re.I),
        hazard_named("bulk job", 0.65, "database contention slow lag overload"),
    ),
    (
        re.compile(r"time\.Local|datetime\.now\(\)|TimeZone|LoadLocation|ZoneId\.systemDefault|toLocale", re.I),
        hazard_named("other clock or zone", 0.55, "stale validation auth failing"),
    ),
    (
        re.compile(r"\b(level|verbosity)\w*[\"']?\s*[:=]\s*[\"']?(debug|trace|verbose|all)", re.I),
        hazard_named("wordier logs", 0.9, "disk volume cpu"),
    ),
    (
        re.compile(
            r"ALTER TABLE|DROP (COLUMN|TABLE|INDEX)|RENAME (COLUMN|TO)|"
            r"CREATE (UNIQUE )?INDEX(?! CONCURRENTLY)|LOCK TABLE|SET NOT NULL",
            re.I,
        ),
        hazard_named("schema change", 0.85, "database contention slow missing timeout format"),
    ),
    (
        re.compile(r"SELECT \*|LIKE '%|ORDER BY RAND|CROSS JOIN|COUNT\(\*\)|full[ _]scan|\.find\(\{\}\)|KEYS \*", re.I),
        hazard_named("heavier query", 0.7, "slow database cpu timeout"),
    ),
    (
        re.compile(
            r"DisallowUnknownFields|strict|NOT NULL|additionalProperties\"?:\s*false|"
            r"required:\s*true|\.required\(\)|@NotNull|UNIQUE",
            re.I,
        ),
        hazard_named("stricter input", 0.75, "validation format failing"),
    ),
    (
        re.compile(r"\.lock\(\)|\bsynchronized\b|mutex\.acquire|with\s+\w*lock\b|FOR UPDATE|SERIALIZABLE", re.I),
        hazard_named("new lock", 0.7, "contention slow timeout database exhausted"),
    ),
    (
        re.compile(
            r"time\.sleep|Thread\.sleep|\bsleep\(|readFileSync|execSync|"
            r"\.block\(\)|\.get\(\)\s*;?$|\.result\(\)|runBlocking",
            re.I,
        ),
        hazard_named("blocking call", 0.65, "slow timeout exhausted"),
    ),
    (
        re.compile(r"regexp?\.(must)?compile|new RegExp|re\.(compile|match|search)|\(\.\*\)[*+]|\(\w\+\)\+", re.I),
        hazard_named("costly pattern", 0.6, "cpu slow timeout"),
    ),
    (
        re.compile(
            r"\bpanic\(|os\.Exit|process\.exit|System\.exit|log\.Fatal|\bthrow new\b|raise \w*Error|assert ", re.I
        ),
        hazard_named("new abort", 0.5, "crash failing"),
    ),
    (
        re.compile(r"InsecureSkipVerify|MinVersion|cipher|\btls\b|ssl|mtls|ca_?cert|verify", re.I),
        hazard_named("transport security", 0.6, "connection auth"),
    ),
    (
        re.compile(r"(disable|skip|bypass|force|no_?cache)\w*[\"']?\s*[:=]\s*[\"']?(true|1|yes|on)\b", re.I),
        hazard_named("safeguard off", 0.55, "slow connection exhausted overload validation stale"),
    ),
    (
        re.compile(
            r"MaxInt|MAX_VALUE|Infinity|(limit|max)\w*\s*[:=]\s*(0|-1)\b|"
            r"unbounded|no ?limit|disable\w*(limit|check|timeout)",
            re.I,
        ),
        hazard_named("no bound", 0.75, "memory exhausted overload slow"),
    ),
)
