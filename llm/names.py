"""Which services, hosts or instances does a text of the model name that the evidence never mentions?

There is no list of all names, so this looks for what can hardly be anything else: addresses and dotted host names,
words with a hyphen or a number that are no ordinary term (`payments-7d9f`, `web03`, `billing-gateway`), a plain word in
a name's place ("the billing service", "pod billing crashed", "billing is down"), and well-known products (Redis). A
name passes when the evidence has it, or has all the telling parts of it. A single invented word in another place is not
noticed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from llm.evidence import Case
from llm.words import words

_NOUNS = (
    "service|microservice|server|instance|host|node|pod|container|deployment|database|cluster|queue|broker|vm|machine"
)
_BEFORE_NOUN = re.compile(rf"[`'\"]?\b([A-Za-z][\w-]*)[`'\"]?\s+(?:{_NOUNS})\b", re.IGNORECASE)
_AFTER_NOUN = re.compile(
    rf"\b(?:{_NOUNS})\s+(?:named\s+|called\s+)?[`'\"]?([A-Za-z][\w-]*)[`'\"]?\s+"
    r"(?:is|was|has|had|became|ran|crashed|failed|stopped|went|returns|returned|cannot|could|did|does|rejects|rejected)\b",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"(?:^|[.;:,]\s+|\b(?:because|that|as|since|when|and|the)\s+)([A-Za-z]+)\s+(?:is|was|went|crashed|ran)\b"
)
_QUOTED_NOUN = re.compile(rf"\b(?:{_NOUNS})\s+[`'\"]([^`'\"\s]+)[`'\"]")
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")
_IP = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?$")
_DOTTED = re.compile(r"(?=.*[a-z])[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}(?::\d+)?$")
_FILE = re.compile(
    r"\.(?:py|go|js|ts|java|rb|rs|c|h|log|conf|cfg|ini|ya?ml|json|toml|sql|sh|html?|xml|csv|txt|so|jar)$"
)
_HOST_WITH_PORT = re.compile(r"[a-z][\w-]*:\d{2,5}$")
_WORD_AND_NUMBER = re.compile(r"([a-z]{2,})\d{1,4}$")
_JOINED = re.compile(r"(?!micro|web|data)[a-z]{3,}(?:service|svc|gateway|db|mq)$")
_MEASURE = re.compile(r"\d+(?:\.\d+)?[a-z%]*$|[pqv]\d+(?:\.\d+)*$|\dxx$")
_GENERIC_ENDING = re.compile(r"(?:ing|ed|tion|sion|ment|ness|able|ible|ful|less|ive|ous|ly|age|ance|ence|ity|ure|s)$")
_PART = re.compile(r"[a-z0-9]+")

_KNOWN_WITH_NUMBER = words("before_a_number")
_PRODUCTS = {
    "redis": "redis", "valkey": "valkey", "memcached": "memcached", "postgres": "postgres", "postgresql": "postgres",
    "mysql": "mysql", "mariadb": "mariadb", "mongodb": "mongo", "mongo": "mongo", "cassandra": "cassandra",
    "elasticsearch": "elastic", "opensearch": "opensearch", "clickhouse": "clickhouse", "kafka": "kafka",
    "rabbitmq": "rabbit", "nats": "nats", "zookeeper": "zookeeper", "etcd": "etcd", "consul": "consul",
    "nginx": "nginx", "haproxy": "haproxy",
    "envoy": "envoy", "istio": "istio", "traefik": "traefik", "dynamodb": "dynamo", "cloudflare": "cloudflare",
    "oracle": "oracle", "celery": "celery", "minio": "minio", "ceph": "ceph",
}  # fmt: skip
_SERVICE_PARTS = words("service_parts")
_SERVICE_NAMES = words("service_names")
_COMMON = words("common")
_GENERIC = words("before_a_service")


def invented(text: str, evidence: str) -> tuple[str, ...]:
    """The names in the text that `evidence` (made by `evidence_text`) doesn't have, each once, in order."""
    return tuple(dict.fromkeys(name for name in _names(text) if not _is_known(name, evidence)))


def evidence_text(case: Case) -> str:
    """Every word of the case's data, in lower case, for `invented`."""
    subject = case.subject
    texts = [subject.alert_name, subject.status, subject.severity or "", subject.description or ""]
    texts.extend(text for pair in (*subject.labels.items(), *subject.annotations.items()) for text in pair)
    for item in case.evidence:
        texts.extend((item.kind, item.summary))
        texts.extend(text for pair in item.labels.items() for text in pair)
        texts.extend(str(fact) for pair in item.facts.items() for fact in pair)
    return "\n".join(texts).lower()


def _names(text: str) -> Iterator[str]:
    for pattern in (_BEFORE_NOUN, _AFTER_NOUN):
        for match in pattern.finditer(text):
            word = match.group(1).lower()
            is_generic = word in _GENERIC or (_GENERIC_ENDING.search(word) and word not in _SERVICE_NAMES)
            if not is_generic and word not in _NOUNS.split("|") and _ordinary(word) is None:
                yield match.group(1)
    yield from (name for name in _SUBJECT.findall(text) if name.lower() in _SERVICE_NAMES)
    yield from (match.group(1) for match in _QUOTED_NOUN.finditer(text))
    for match in _TOKEN.finditer(text):
        token = match.group().rstrip(".:-_")
        if _is_name(token.lower()):
            yield token


def _is_name(token: str) -> bool:
    if token in _PRODUCTS or _IP.match(token) or _JOINED.match(token):
        return True
    if "." in token or ":" in token:
        return bool(_HOST_WITH_PORT.match(token) or (_DOTTED.match(token) and not _FILE.search(token)))
    if "-" in token:
        return _ordinary(token) is False
    if "_" in token:  # mostly metrics and settings, which are no culprits
        return token.rsplit("_", 1)[-1] in _SERVICE_PARTS
    numbered = _WORD_AND_NUMBER.match(token)
    return numbered is not None and numbered.group(1) not in _KNOWN_WITH_NUMBER


def _ordinary(word: str) -> bool | None:
    """Whether a hyphenated word is an ordinary term; None for a word without a hyphen."""
    if "-" not in word:
        return None
    parts = [part for part in word.split("-") if part]
    if any(part.isdigit() or _MEASURE.match(part) for part in parts[:1]) or word in _GENERIC:
        return True
    plain = [part for part in parts if not _MEASURE.match(part)]
    has_number = any(re.search(r"\d", part) for part in parts if not re.match(r"[pv]\d|\dxx", part))
    if has_number:
        return False
    if parts[-1] in _SERVICE_PARTS and any(
        part in _SERVICE_NAMES or (part not in _COMMON and part not in _GENERIC) for part in plain[:-1]
    ):
        return False
    return all(part in _COMMON or part in _GENERIC or _GENERIC_ENDING.search(part) for part in plain)


def _is_known(name: str, evidence: str) -> bool:
    lowered = name.lower()
    wanted = _PRODUCTS.get(lowered, lowered)
    if re.search(rf"(?<![a-z0-9]){re.escape(wanted)}", evidence):
        return True
    present = set(_PART.findall(evidence))
    telling = [part for part in _PART.findall(lowered) if part not in _SERVICE_PARTS]
    return bool(telling) and all(part in present for part in telling)
