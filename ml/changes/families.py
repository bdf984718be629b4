"""Which kinds of trouble do texts speak of, and which of them can no change of ours cause?"""

from __future__ import annotations

import re
from collections import Counter

# Families of trouble and the words that logs, alerts and metrics use for them.
_FAMILIES: tuple[tuple[str, str], ...] = (
    ("timeout", r"time[ds]?[ _-]?out|deadline|context cancell?ed|exceeded|etimedout"),
    ("slow", r"slow|latency|duration|p9[059]|response time|degraded|elapsed"),
    (
        "database",
        r"\bsql\b|\bquery|queries|\bdb[_ ]|_db\b|database|rows?[_ ]|postgres|mysql|mongo|deadlock|transaction|\btxn",
    ),
    ("memory", r"\boom|out of memory|memory|heap|rss|gc pause|garbage|evicted"),
    ("cpu", r"\bcpu|load average|throttled|busy loop|spin"),
    ("disk", r"disk|no space|enospc|volume|filesystem|inode|read-only"),
    (
        "exhausted",
        r"exhaust|pool|too many|saturat|limit reached|no (free|available)|max(imum)? (conn|clients)|file descriptors|"
        r"emfile|goroutine|thread|capacity|queue full|backpressure|budget",
    ),
    (
        "overload",
        r"overload|shedding|queue[d_ ]|backlog|rate[ _]limit|429|too many requests|quota|throttl|retry storm|storm",
    ),
    (
        "missing",
        r"not[ _]found|missing|undefined|unknown|no such|404|unregistered|not registered|unresolved|does not exist|"
        r"no handler|unavailable agent|unset",
    ),
    (
        "auth",
        r"unauthor|forbidden|permission|denied|401|403|invalid token|signature|credential|expired token|access key|jwt",
    ),
    (
        "format",
        r"parse|decod|unmarshal|deserial|schema|malformed|invalid (json|payload|field|character)|type mismatch|"
        r"cannot convert|encoding|corrupt|checksum|contract|unexpected (token|field|type)",
    ),
    ("validation", r"validat|out of range|constraint|violat|rejected|unprocessable|422|bad request|required field"),
    (
        "crash",
        r"panic|nil pointer|null ?pointer|nullreference|segfault|sigsegv|fatal|crash|restart|exit code|uncaught|"
        r"typeerror|indexerror|keyerror|attributeerror|out of bounds|probe failed|not ready",
    ),
    ("contention", r"deadlock|lock (wait|acquire|timeout)|contention|mutex|blocked|lock\b"),
    ("stale", r"stale|out[ -]of[ -]date|inconsist|mismatch|duplicate|wrong|drift|lost update|double"),
    ("lag", r"\blag\b|behind|oldest message|consumer|offset|rebalanc|backlog|delay"),
    (
        "connection",
        r"connection|connect:|refused|reset by peer|dial tcp|unreachable|"
        r"no route|broken pipe|socket|handshake|tls|x509|cert",
    ),
    ("cache", r"cache|hit[ _]ratio|miss[_ ]"),
    ("failing", r"5\d\d|error|fail|unavailable|abort"),
    ("volume", r"throughput|bytes|lps|log_write|egress|cost|cardinality"),
)


FAMILY_PATTERNS = tuple((name, re.compile(pattern)) for name, pattern in _FAMILIES)


# Causes that no commit can be: what the texts say then.
_OPERATIONAL: tuple[tuple[str, str], ...] = (
    ("resolver", r"servfail|enotfound|no such host|name resol|nameserver|server misbehaving|\bnxdomain|dns"),
    (
        "provider",
        r"(aws|gcp|azure|s3|sqs|dynamodb|gcs|blob|kms|stripe|provider|region|availability zone|\baz\b).{0,80}"
        r"(503|slowdown|serviceunavailable|internalerror|throttlingexception|impair|outage|degraded|unavailable)",
    ),
    (
        "record",
        r"(redeliver|same (offset|record|message)|poison|dead[- ]letter|dlq|malformed record|partition=\d+ offset=\d+)",
    ),
    ("certificate", r"certificate (has )?expired|x509: certificate has expired|cert.{0,20}expir|token has expired"),
    (
        "hardware",
        r"i/o error|ecc error|kernel panic|node not ready|nodenotready|"
        r"spot interruption|instance retire|\bnic\b|hardware|"
        r"clock skew|\bntp\b|packet loss|link down|\bpreempt",
    ),
    (
        "surge",
        r"elevated request volume|traffic (surge|spike)|flash sale|request volume|load spike|ddos|crawler|bot traffic",
    ),
)


OPERATIONAL_PATTERNS = tuple((name, re.compile(pattern)) for name, pattern in _OPERATIONAL)


_WORD = re.compile(r"[A-Za-z][a-z]+|[A-Z]{2,}(?![a-z])|[a-z]{3,}")


_COMMON_WORDS = frozenset(
    """
    the and for from with that this func return err error errors nil null true false string int new var const
    type struct import package service services internal pkg src http https get set run make add use json
    yaml config ctx context req res request response data value values name file test main index log logger
    info debug warn failed fail failure upstream class def self public private static void async await export
    function let len per min max sum total count rate ratio ms seconds
    """.split()  # noqa: SIM905
)


def words_of(text: str) -> Counter[str]:
    """Lower-case words of identifiers and prose (camelCase and snake_case taken apart), common ones left out."""
    found = (word.lower() for word in _WORD.findall(text))
    return Counter(word for word in found if len(word) > 2 and word not in _COMMON_WORDS)
