"""The manifests of Kubernetes, the composition, the process table and the settings say the same."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from flask import Flask

import sensus
from celery_config import QUEUES
from ops.kubernetes import rules
from sensus import reporting, settings
from sensus.runtime.names import OURS
from sensus.settings import Settings
from tests.kubernetes.manifests import (
    NAMESPACE,
    OVERLAYS,
    ROOT,
    Overlay,
    composition,
    containers,
    name_of,
    ours,
    overlay,
    pod,
    ports_of,
)
from tests.kubernetes.test_references import mebibytes

ONE_SHOT = "prepare"
WITH_GRAFANA = ("complete", "managed")
DEFAULTS = {name: field.default for name, field in Settings.model_fields.items()}
# By the name of the process: the setting of the port that it listens on.
PORTS = {"web": "port", "flower": "flower_port"}
# Figures and probes, which tell about the installation.
HIDDEN = {"/metrics", "/health", "/health/ready"}


@pytest.fixture(params=OVERLAYS)
def found(request: pytest.FixtureRequest) -> Overlay:
    return overlay(request.param)


def environment(container: Mapping[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container.get("env", ())}


def test_every_process_of_the_table_runs_once_in_the_cluster(found: Overlay) -> None:
    commands = [container["args"] for _, _, container in ours(found)]
    assert sorted(commands) == sorted([[ONE_SHOT], *(["run", name] for name in OURS)])


def test_every_process_is_that_of_the_composition(found: Overlay) -> None:
    for component, workload, container in ours(found):
        service = composition()[component]
        assert container["args"] == service["command"], component
        assert container["image"] == service["image"], component
        (secrets,) = (volume["secret"] for volume in pod(workload)["volumes"] if "secret" in volume)
        told, keys = environment(container), {item["key"] for item in secrets["items"]}
        if (found.name, component) == ("managed", ONE_SHOT):
            # Servers of our own make this role with their database.
            assert told.pop("SENSUS_REPORTING_PASSWORD_FILE") == "/run/secrets/reporting_password"
            keys.remove("reporting_password")
        there = service["environment"]
        for name, value in told.items():
            assert there[name] == value, f"{component}: {name}"
        expected = {name for name in there if name.endswith("_FILE") or name == "SENSUS_METRICS_PORT"}
        assert set(told) == expected, component
        assert keys == set(service["secrets"]), component
        memory = container["resources"]["limits"]["memory"]
        assert mebibytes(memory) == mebibytes(service["mem_limit"].upper() + "i"), component


def test_servers_are_those_of_the_composition() -> None:
    found = overlay("standard")
    for workload in found.of("StatefulSet"):
        service = composition()[workload["metadata"]["name"]]
        (container,) = pod(workload)["containers"]
        assert container["image"] == service["image"]
        assert environment(container) == service.get("environment", {})
        (secrets,) = (volume["secret"] for volume in pod(workload)["volumes"] if "secret" in volume)
        assert {item["key"] for item in secrets["items"]} == set(service["secrets"])
        said = container.get("command") or container.get("args")
        theirs = {word.partition("=")[0] for word in service["command"]}
        assert {word.partition("=")[0] for word in said} == theirs
        targets = {mount["mountPath"] for mount in container["volumeMounts"]}
        for volume in service["volumes"]:
            assert volume.split(":")[1] in targets, f"{name_of(workload)}: {volume}"


def test_every_setting_in_the_cluster_is_one(found: Overlay) -> None:
    (config,) = (each for each in found.of("ConfigMap") if each["metadata"]["name"].startswith("settings-"))
    known = set(settings.variables())
    assert set(config["data"]) <= known
    for workload in found.workloads():
        for container in containers(workload):
            names = {name for name in environment(container) if name.startswith("SENSUS_")}
            assert names <= known, name_of(workload)
            # Said in two places, one of them would be believed by accident.
            assert not names & set(config["data"]), name_of(workload)
    secret = {f"SENSUS_{name.upper()}" for name in ("jwt_secret", "admin_password", "source_key", "database_password")}
    assert not secret & set(config["data"])
    for name, value in config["data"].items():
        Settings.__pydantic_validator__.validate_assignment(
            Settings.model_construct(), name.removeprefix(settings.PREFIX).lower(), value
        )


def test_addresses_are_those_of_services() -> None:
    for name in ("standard", "complete"):
        found = overlay(name)
        (config,) = (each for each in found.of("ConfigMap") if each["metadata"]["name"].startswith("settings-"))
        for variable in ("SENSUS_DATABASE_URL", "SENSUS_REDIS_URL"):
            host, port = re.search(r"(?:@|//)([\w-]+):(\d+)", config["data"][variable]).groups()  # type: ignore[union-attr]
            assert int(port) in {each["port"] for each in found.named("Service", host)["spec"]["ports"]}
            assert config["data"][variable] == composition()["api"]["environment"][variable]


def test_ports_are_those_of_the_settings(found: Overlay) -> None:
    for _, workload, container in ours(found):
        if container["args"][0] != "run":
            assert not ports_of(workload)
            continue
        process = container["args"][1]
        listens = DEFAULTS[PORTS[process]] if process in PORTS else int(environment(container)["SENSUS_METRICS_PORT"])
        assert list(ports_of(workload).values()) == [listens], process


def test_probes_are_routes_and_commands_of_ours(found: Overlay, app: Flask) -> None:
    routes = {rule.rule for rule in app.url_map.iter_rules()}
    for _, workload, container in ours(found):
        process = container["args"][-1]
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container.get(name)
            if probe is None:
                assert process == ONE_SHOT
            elif "exec" in probe:
                assert probe["exec"]["command"][:2] == ["sensus", "probe"], name_of(workload)
                assert ("--alive" in probe["exec"]["command"]) == (name == "livenessProbe")
            elif process == "web":
                assert probe["httpGet"]["path"] in routes
            else:
                assert (process, probe["httpGet"]["path"]) == ("flower", "/healthcheck")


def test_every_queue_has_its_scaling() -> None:
    for name in ("complete", "managed"):
        found = overlay(name)
        lists = {}
        for scaler in found.of("ScaledObject"):
            (trigger,) = scaler["spec"]["triggers"]
            assert trigger["type"] == "redis"
            lists[scaler["spec"]["scaleTargetRef"]["name"]] = trigger["metadata"]["listName"]
        assert lists == {f"worker-{queue}": queue for queue in QUEUES}


def test_keda_asks_the_redis_that_the_workers_use() -> None:
    for name in ("complete", "managed"):
        found = overlay(name)
        (config,) = (each for each in found.of("ConfigMap") if each["metadata"]["name"].startswith("settings-"))
        used = re.search(r"//([^/]+)/", config["data"]["SENSUS_REDIS_URL"])
        assert used is not None
        host, _, port = used[1].partition(":")
        full = host if "." in host else f"{host}.{NAMESPACE}.svc"
        for scaler in found.of("ScaledObject"):
            facts = scaler["spec"]["triggers"][0]["metadata"]
            assert facts["address"] == f"{full}:{port}", name_of(scaler)
            tls = config["data"]["SENSUS_REDIS_URL"].startswith("rediss:")
            assert facts.get("enableTLS", "false") == str(tls).lower(), name_of(scaler)


def test_connections_suffice_when_everything_is_scaled_up() -> None:
    """Each thread of the API and each process of a worker may hold one, and a few are for those who look."""
    found = overlay("complete")
    most = {
        each["spec"]["scaleTargetRef"]["name"]: each["spec"].get("maxReplicas") or each["spec"]["maxReplicaCount"]
        for each in found.of("HorizontalPodAutoscaler", "ScaledObject")
    }
    web = most["api"] * DEFAULTS["web_workers"] * (DEFAULTS["web_threads"] + 2)
    workers = sum(count for name, count in most.items() if name != "api") * (DEFAULTS["worker_concurrency"] + 1)
    (postgres,) = pod(found.named("StatefulSet", "postgres"))["containers"]
    allowed = next(int(word.partition("=")[2]) for word in postgres["args"] if "max_connections" in word)
    assert web + workers + 15 <= allowed


def test_the_release_is_the_same_everywhere(found: Overlay) -> None:
    (job,) = found.of("Job")
    assert job["metadata"]["name"] == f"{ONE_SHOT}-{sensus.__version__.replace('.', '-')}"
    for workload in found.workloads():
        for container in containers(workload):
            if container["image"].startswith("sensus-"):
                assert container["image"].endswith(f":{sensus.__version__}"), name_of(workload)


def test_the_ingress_shows_what_the_api_has_and_hides_what_tells_of_the_installation(app: Flask) -> None:
    (ingress,) = overlay("complete").of("Ingress")
    (rule,) = ingress["spec"]["rules"]
    paths = [(each["path"], each["pathType"]) for each in rule["http"]["paths"]]

    def served(route: str) -> bool:
        return any(
            route == path or (kind == "Prefix" and route.startswith(path.rstrip("/") + "/")) for path, kind in paths
        )

    routes = {each.rule for each in app.url_map.iter_rules()}
    assert {route for route in routes if not served(route)} == HIDDEN


def test_the_ingress_takes_what_nginx_of_the_composition_takes() -> None:
    (ingress,) = overlay("complete").of("Ingress")
    allowed = ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert f"client_max_body_size {allowed};" in (ROOT / "ops/docker/nginx/sensus.conf").read_text("utf-8")
    assert mebibytes(allowed.upper() + "i") * 2**20 > DEFAULTS["max_body_bytes"]


def test_who_looks_at_the_database_by_a_role_has_somebody_who_makes_it(found: Overlay) -> None:
    exporters = [
        each
        for each in found.of("Deployment")
        if any(reporting.ROLE in environment(container).values() for container in containers(each))
    ]
    configs = [each for each in found.of("ConfigMap") if "grafana_datasource" in each["metadata"].get("labels", {})]
    datasources = [each for each in configs if f"user: {reporting.ROLE}" in str(each["data"])]
    assert (len(exporters), len(datasources)) == {"standard": (0, 0), "complete": (1, 1), "managed": (1, 1)}[found.name]
    with_the_database = any(
        f"CREATE ROLE {reporting.ROLE} LOGIN" in str(each["data"])
        for each in found.of("ConfigMap")
        if each["metadata"]["name"].startswith("postgres-init-")
    )
    (job,) = found.of("Job")
    when_asked = any("SENSUS_REPORTING_PASSWORD_FILE" in environment(each) for each in containers(job))
    assert with_the_database or when_asked


@pytest.mark.parametrize("name", WITH_GRAFANA)
def test_dashboards_are_those_of_the_composition(name: str) -> None:
    configs = overlay(name).of("ConfigMap")
    labelled = [each for each in configs if each["metadata"].get("labels", {}).get("grafana_dashboard") == "1"]
    committed = {path.name: path.read_text("utf-8") for path in (rules.OPS / "grafana/dashboards").iterdir()}
    assert {file: text for each in labelled for file, text in each["data"].items()} == committed
    assert len(labelled) == len(committed), "one object for each"
    for each in labelled:
        assert set(each["data"]) == {f"{each['metadata']['name']}.json"}, "a hash would leave the one before beside it"


@pytest.mark.parametrize("name", WITH_GRAFANA)
def test_dashboards_ask_the_database_of_the_processes_as_those_of_the_composition_do(name: str) -> None:
    found = overlay(name)
    config = found.named("ConfigMap", "sensus-datasource")
    assert config["metadata"]["labels"]["grafana_datasource"] == "1"
    (there,) = yaml.safe_load(config["data"]["sensus.yaml"])["datasources"]
    file = rules.OPS / "grafana/provisioning/datasources/sensus.yml"
    text = string.Template(file.read_text("utf-8")).safe_substitute(composition()["grafana"]["environment"])
    _, expected = yaml.safe_load(text)["datasources"]
    (settings_there,) = (each for each in found.of("ConfigMap") if each["metadata"]["name"].startswith("settings-"))
    database = urlsplit(settings_there["data"]["SENSUS_DATABASE_URL"])
    assert database.hostname is not None
    # By its full name, since Grafana is in another namespace.
    host = database.hostname if "." in database.hostname else f"{database.hostname}.{NAMESPACE}.svc"
    modes = parse_qs(database.query).get("sslmode", ["disable"])
    assert there == {
        **expected,
        "url": f"{host}:{database.port}",
        "jsonData": {**expected["jsonData"], "database": database.path[1:], "sslmode": modes[0]},
    }


def test_the_rules_are_those_of_prometheus(found: Overlay) -> None:
    assert rules.OBJECT.read_text("utf-8") == rules.written(), "run `make rules`"
    for rule in found.of("PrometheusRule"):
        groups = [yaml.safe_load(path.read_text("utf-8"))["groups"] for path in sorted(rules.RULES.glob("*.yml"))]
        assert rule["spec"]["groups"] == [group for each in groups for group in each]


def test_every_job_that_prometheus_scrapes_is_scraped_in_the_cluster() -> None:
    """By the same name, host and port; Prometheus and Alertmanager belong to their operator there."""
    found = overlay("complete")
    theirs = yaml.safe_load((rules.OPS / "prometheus" / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    by_job: dict[str, set[str]] = {}
    for service in found.of("Service"):
        job = service["metadata"].get("labels", {}).get("prometheus-job")
        if job is not None:
            (port,) = service["spec"]["ports"]
            by_job.setdefault(job, set()).add(f"{service['metadata']['name']}:{port['port']}")
    for probe in found.of("Probe"):
        by_job[probe["spec"]["jobName"]] = set(probe["spec"]["targets"]["staticConfig"]["static"])
    expected = {each["job_name"]: set(each["static_configs"][0]["targets"]) for each in theirs}
    assert by_job == {job: targets for job, targets in expected.items() if job not in ("prometheus", "alertmanager")}


def test_exporters_are_those_of_the_composition() -> None:
    found = overlay("complete")
    exporters = [each for each in found.of("Deployment") if each["metadata"]["name"].endswith("-exporter")]
    assert len(exporters) == 4
    for workload in exporters:
        service = composition()[workload["metadata"]["name"]]
        (container,) = pod(workload)["containers"]
        assert container["image"] == service["image"]
        assert environment(container) == service.get("environment", {}), name_of(workload)
        assert container.get("args", []) == service.get("command", []), name_of(workload)
        assert mebibytes(container["resources"]["limits"]["memory"]) == mebibytes(service["mem_limit"].upper() + "i")
        secrets = [volume["secret"] for volume in pod(workload)["volumes"] if "secret" in volume]
        assert [item["key"] for secret in secrets for item in secret["items"]] == service.get("secrets", [])
