"""Where does an alert or a series come from?  Its service, host and surroundings, whatever its labels are called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

# In this order: the first label that is there names the service.
SERVICE_LABELS = (
    "service", "service_name", "app", "application", "app_kubernetes_io_name", "workload", "deployment", "statefulset",
    "daemonset", "destination_workload", "destination_service_name", "component", "exported_service",
)  # fmt: skip
HOST_LABELS = ("instance", "host", "hostname", "node", "nodename", "exported_instance", "server", "machine")
POD_LABELS = ("pod", "pod_name", "kubernetes_pod_name", "exported_pod")
NAMESPACE_LABELS = ("namespace", "kubernetes_namespace", "exported_namespace", "service_namespace", "project")
CLUSTER_LABELS = ("cluster", "cluster_name", "k8s_cluster", "datacenter", "dc")
ENVIRONMENT_LABELS = ("environment", "env", "stage", "deployment_environment")
_JOB_LABELS = ("job", "exported_job")
# Such a job scrapes many services, and names none of them.
_JOBS_OF_MANY = re.compile(
    r"(?:node|windows|process|blackbox|postgres|mysql|redis|snmp|black-?box)?[-_]?exporter$|cadvisor|kubelet|"
    r"kube-state-metrics|kubernetes-.*|node|apiserver|prometheus|integrations/.*|otel.*|federate|pushgateway"
)
# What tells of the alert's rule or of who sent it, and not where it fires.
_NOT_A_PLACE = frozenset(
    {
        "alertname", "severity", "priority", "__name__", "replica", "prometheus", "prometheus_replica", "monitor", "le",
        "quantile", "alertgroup", "alertstate", "team", "owner", "receiver", "runbook", "endpoint", "metrics_path",
        "code", "status", "status_code", "method", "reason", "condition", "container_id", "uid", "id",
    }
)  # fmt: skip
_PORT = re.compile(r"(?<=[^:]):\d{1,5}$")
_CLUSTER_DOMAIN = re.compile(r"\.(?:svc(?:\.[\w.]+)?|[\w-]+\.svc(?:\.[\w.]+)?)$")
_POD_OF_A_DEPLOYMENT = re.compile(r"^(?P<name>[a-z0-9][a-z0-9.-]*?)-[a-z0-9]{6,10}-[a-z0-9]{5}$")
_POD_OF_A_SET = re.compile(r"^(?P<name>[a-z0-9][a-z0-9.-]*?)-(?:\d{1,4}|(?=[a-z]*\d)[a-z0-9]{5})$")
_LOOPBACK = re.compile(r"localhost$|127\.\d+\.\d+\.\d+$|::1$|0\.0\.0\.0$")


@dataclass(frozen=True, slots=True)
class Place:
    """What labels tell of where something is; None for what they don't tell."""

    service: str | None = None
    host: str | None = None
    pod: str | None = None
    namespace: str | None = None
    cluster: str | None = None
    environment: str | None = None
    job: str | None = None
    others: frozenset[tuple[str, str]] = frozenset()  # further labels, such as a database or a queue

    @property
    def name(self) -> str | None:
        """The service, or what comes nearest to one: what a person would call the place."""
        return self.service or self.host or self.job


def place_of(labels: Mapping[str, str], service_labels: Iterable[str] = ()) -> Place:
    """Where these labels point; `service_labels` are further ones that name a service, before the usual ones."""
    return _place(tuple(sorted(labels.items())), tuple(service_labels))


def normal(value: str) -> str:
    """A name as it is compared: in small letters, without a port and the domain of a cluster."""
    return _CLUSTER_DOMAIN.sub("", _PORT.sub("", value.strip().lower()))


def service_labels(further: Iterable[str] = ()) -> tuple[str, ...]:
    """Every label that may name a service, the most telling first; `job` comes last."""
    return tuple(dict.fromkeys((*further, *SERVICE_LABELS, *_JOB_LABELS)))


@lru_cache(maxsize=8192)
def _place(labels: tuple[tuple[str, str], ...], further: tuple[str, ...]) -> Place:
    by_name = {name.lower(): value for name, value in labels if value.strip()}
    pod = _first(by_name, POD_LABELS)
    host = _first(by_name, HOST_LABELS)
    job = _first(by_name, _JOB_LABELS)
    used = {*further, *SERVICE_LABELS, *HOST_LABELS, *POD_LABELS, *NAMESPACE_LABELS, *CLUSTER_LABELS}
    used |= {*ENVIRONMENT_LABELS, *_JOB_LABELS, *_NOT_A_PLACE}
    service = _first(by_name, (*further, *SERVICE_LABELS)) or _of_pod(pod) or _of_job(job)
    return Place(
        service=service,
        # Every machine calls itself so, and no two of them are the same.
        host=None if host is None or _LOOPBACK.match(host) else host,
        pod=pod,
        # Of a host it is where the exporter runs that watches it.
        namespace=_first(by_name, NAMESPACE_LABELS) if service or not job else None,
        cluster=_first(by_name, CLUSTER_LABELS),
        environment=_first(by_name, ENVIRONMENT_LABELS),
        job=job,
        others=frozenset((name, normal(value)) for name, value in by_name.items() if name not in used),
    )


def _first(labels: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((normal(labels[name]) for name in names if name in labels), None)


def _of_pod(pod: str | None) -> str | None:
    """`checkout-7d9f8b6c5-x2x4z` and `checkout-0` are pods of checkout."""
    if pod is None:
        return None
    match = _POD_OF_A_DEPLOYMENT.match(pod) or _POD_OF_A_SET.match(pod)
    return match["name"] if match else pod


def _of_job(job: str | None) -> str | None:
    if job is None or _JOBS_OF_MANY.fullmatch(job):
        return None
    # OpenTelemetry writes namespace/service, operators of Prometheus too.
    return job.rsplit("/", 1)[-1]
