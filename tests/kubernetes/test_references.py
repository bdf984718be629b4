"""What one object says of another is so: schemas can't tell."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.kubernetes.manifests import (
    NAMESPACE,
    OVERLAYS,
    ROOT,
    Object,
    Overlay,
    containers,
    matches,
    name_of,
    overlay,
    pod,
    pod_labels,
    ports_of,
)

# Made by people, as the documentation tells.
OUTSIDE_SECRETS = {"sensus-tls"}


@pytest.fixture(params=OVERLAYS)
def found(request: pytest.FixtureRequest) -> Overlay:
    return overlay(request.param)


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The data of the Secret `sensus`, which is made of the files of `make secrets`."""
    folder = tmp_path_factory.mktemp("secrets")
    subprocess.run(["sh", ROOT / "ops/docker/secrets.sh", folder], check=True, capture_output=True)
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def secret_keys(secret: dict[str, str]) -> set[str]:
    return set(secret)


def test_a_secret_is_what_it_says_and_nothing_more(secret: dict[str, str]) -> None:
    """KEDA and a container's environment take a key as it is: the end of a line would be a part of the password."""
    for key, value in secret.items():
        assert value.strip(), key
        assert value == value.strip() or key.startswith("tls_"), key


def test_no_two_objects_have_one_name_and_all_are_in_one_namespace(found: Overlay) -> None:
    names = Counter((each["kind"], each["metadata"]["name"]) for each in found.objects)
    assert set(names.values()) == {1}, names
    for each in found.objects:
        if each["kind"] != "Namespace":
            assert each["metadata"]["namespace"] == NAMESPACE, name_of(each)


def test_every_workload_selects_its_own_pods_and_no_others(found: Overlay) -> None:
    for workload in found.of("Deployment", "StatefulSet"):
        assert found.selected(workload["spec"]["selector"]) == [workload], name_of(workload)


def test_every_service_leads_to_a_port_of_one_workload(found: Overlay) -> None:
    for service in found.of("Service"):
        (target,) = found.selected({"matchLabels": service["spec"]["selector"]})
        for port in service["spec"]["ports"]:
            # A service without an address of its own can't translate ports.
            assert ports_of(target)[port["targetPort"]] == port["port"], name_of(service)


def test_every_set_has_its_service(found: Overlay) -> None:
    for workload in found.of("StatefulSet"):
        service = found.named("Service", workload["spec"]["serviceName"])
        assert found.selected({"matchLabels": service["spec"]["selector"]}) == [workload]


def test_every_mount_has_its_volume_and_every_volume_is_mounted(found: Overlay) -> None:
    for workload in found.workloads():
        claimed = [each["metadata"]["name"] for each in workload["spec"].get("volumeClaimTemplates", ())]
        volumes = Counter([*claimed, *(volume["name"] for volume in pod(workload)["volumes"])])
        mounts = [mount for container in containers(workload) for mount in container["volumeMounts"]]
        assert set(volumes.values()) == {1}, name_of(workload)
        assert {mount["name"] for mount in mounts} == set(volumes), name_of(workload)
        for container in containers(workload):
            paths = [mount["mountPath"] for mount in container["volumeMounts"]]
            assert len(paths) == len(set(paths)), name_of(workload)
            if pod_labels(workload)["app.kubernetes.io/name"] == "sensus":
                # What the image writes to, and where it looks for secrets.
                assert set(paths) == {"/tmp", "/var/lib/sensus", "/run/secrets"}, container["name"]


def test_every_volume_is_of_something_that_is_there(found: Overlay, secret_keys: set[str]) -> None:
    for workload in found.workloads():
        for volume in pod(workload)["volumes"]:
            where = f"{name_of(workload)}: {volume['name']}"
            if "secret" in volume:
                assert volume["secret"]["secretName"] == NAMESPACE, where
                assert {item["key"] for item in volume["secret"]["items"]} <= secret_keys, where
            elif "configMap" in volume:
                config = found.named("ConfigMap", volume["configMap"]["name"])
                assert {item["key"] for item in volume["configMap"].get("items", ())} <= set(config["data"]), where
            elif "persistentVolumeClaim" in volume:
                claim = found.named("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
                assert workload["spec"]["strategy"] == {"type": "Recreate"}, f"{where}: two pods would want it"
                assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
            else:
                # Without a limit a folder in memory or on the node's disk may fill it.
                assert volume["emptyDir"]["sizeLimit"], where


def test_memory_of_volumes_leaves_room_for_the_process(found: Overlay) -> None:
    for workload in found.workloads():
        in_memory = sum(
            mebibytes(volume["emptyDir"]["sizeLimit"])
            for volume in pod(workload)["volumes"]
            if volume.get("emptyDir", {}).get("medium") == "Memory"
        )
        limit = sum(mebibytes(each["resources"]["limits"]["memory"]) for each in pod(workload)["containers"])
        assert in_memory <= limit / 2, f"{name_of(workload)}: {in_memory} MiB of {limit} MiB"


def test_every_config_and_account_is_there(found: Overlay) -> None:
    accounts = {each["metadata"]["name"] for each in found.of("ServiceAccount")}
    for workload in found.workloads():
        assert pod(workload).get("serviceAccountName", "default") in {*accounts, "default"}, name_of(workload)
        for container in containers(workload):
            for source in container.get("envFrom", ()):
                found.named("ConfigMap", source["configMapRef"]["name"])


def test_no_config_lies_about_unused(found: Overlay) -> None:
    for config in found.of("ConfigMap"):
        labels = config["metadata"].get("labels", {})
        # A sidecar of Grafana looks for those by their label.
        is_found = {"grafana_dashboard", "grafana_datasource"} & set(labels)
        assert found.text.count(config["metadata"]["name"]) > 1 or is_found, name_of(config)


def test_every_object_can_be_applied(found: Overlay) -> None:
    """`kubectl apply` writes the object into an annotation of itself, and all annotations together have a limit."""
    for each in found.objects:
        assert len(json.dumps(each).encode()) < 256 * 1024, name_of(each)


def test_every_file_that_a_process_is_told_of_is_mounted(found: Overlay) -> None:
    for workload in found.workloads():
        for container in containers(workload):
            files = set(_files(found, workload, container))
            named = [each["value"] for each in container.get("env", ()) if each["name"].endswith("_FILE")]
            named += [word for word in container.get("command", ()) if word.startswith("/etc/")]
            for path in named:
                assert path in files, f"{name_of(workload)}: {path} is not mounted"


def test_what_scales_points_at_something_that_can_be_scaled(found: Overlay, secret_keys: set[str]) -> None:
    scaled = []
    for scaler in found.of("HorizontalPodAutoscaler", "ScaledObject"):
        target = scaler["spec"]["scaleTargetRef"]
        workload = found.named(target.get("kind", "Deployment"), target["name"])
        scaled.append(workload["metadata"]["name"])
        # A number in the manifest would undo the scaling at each apply.
        assert "replicas" not in workload["spec"], name_of(workload)
        for metric in scaler["spec"].get("metrics", ()):
            for container in pod(workload)["containers"]:
                assert metric["resource"]["name"] in container["resources"]["requests"], name_of(scaler)
        for trigger in scaler["spec"].get("triggers", ()):
            login = found.named("TriggerAuthentication", trigger["authenticationRef"]["name"])
            for reference in login["spec"]["secretTargetRef"]:
                assert reference["name"] == NAMESPACE
                assert reference["key"] in secret_keys
    assert len(scaled) == len(set(scaled)), "two scalers pull at one workload"
    for workload in found.of("Deployment"):
        assert ("replicas" in workload["spec"]) == (workload["metadata"]["name"] not in scaled), name_of(workload)


def test_every_probe_asks_a_port_of_its_container(found: Overlay) -> None:
    for workload in found.workloads():
        for container in containers(workload):
            ports = {port["name"] for port in container.get("ports", ())}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                for how in ("httpGet", "tcpSocket"):
                    if how in container.get(probe, {}):
                        assert container[probe][how]["port"] in ports, f"{name_of(workload)}: {probe}"


def test_the_ingress_leads_to_a_service(found: Overlay) -> None:
    for ingress in found.of("Ingress"):
        hosts = {host for tls in ingress["spec"]["tls"] for host in tls["hosts"]}
        assert {tls["secretName"] for tls in ingress["spec"]["tls"]} <= OUTSIDE_SECRETS
        for rule in ingress["spec"]["rules"]:
            assert rule["host"] in hosts, "served without TLS"
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                service = found.named("Service", backend["name"])
                assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}


def test_figures_are_looked_for_where_they_are_shown(found: Overlay) -> None:
    for monitor in found.of("ServiceMonitor"):
        services = [each for each in found.of("Service") if _watched(monitor, each)]
        assert services, name_of(monitor)
        ports = {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]}
        for service in services:
            watched = ports & {port["name"] for port in service["spec"]["ports"]}
            assert len(watched) == 1, f"{name_of(service)} has {watched} of {ports}"
            assert monitor["spec"]["jobLabel"] in service["metadata"]["labels"], name_of(service)
    for probe in found.of("Probe"):
        name, _, port = probe["spec"]["prober"]["url"].partition(":")
        service, namespace, _ = name.split(".")
        assert namespace == NAMESPACE
        assert int(port) in {each["port"] for each in found.named("Service", service)["spec"]["ports"]}
        for url in probe["spec"]["targets"]["staticConfig"]["static"]:
            asked = urlsplit(url)
            assert asked.hostname is not None
            assert asked.port in {each["port"] for each in found.named("Service", asked.hostname)["spec"]["ports"]}
    assert ("blackbox-exporter" in found.text) == bool(list(found.of("Probe"))), "it has nobody to ask"


def mebibytes(quantity: str) -> int:
    """A quantity of memory."""
    return int(quantity[:-2]) * {"Mi": 1, "Gi": 1024}[quantity[-2:]]


def _watched(monitor: Object, service: Object) -> bool:
    return matches(monitor["spec"]["selector"], service["metadata"].get("labels", {}))

    return matches(monitor["spec"]["selector"], service["metadata"].get("labels", {}))


def _files(found: Overlay, workload: Object, container: Any) -> Iterator[str]:
    volumes = {volume["name"]: volume for volume in pod(workload)["volumes"]}
    for mount in container["volumeMounts"]:
        volume = volumes.get(mount["name"], {})
        if "secret" in volume:
            names = [item["path"] for item in volume["secret"]["items"]]
        elif "configMap" in volume:
            names = list(found.named("ConfigMap", volume["configMap"]["name"])["data"])
        else:
            continue
        yield from (str(Path(mount["mountPath"]) / name) for name in names)


def test_pods_have_the_labels_that_others_go_by(found: Overlay) -> None:
    for workload in found.workloads():
        assert pod_labels(workload)["app.kubernetes.io/part-of"] == "sensus", name_of(workload)
        assert "app.kubernetes.io/name" in pod_labels(workload), name_of(workload)
