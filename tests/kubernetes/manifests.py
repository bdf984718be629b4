"""What would `kubectl apply -k` send?  The objects of an overlay, and how they are looked at."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
KUBERNETES = ROOT / "ops" / "kubernetes"
KUBECTL = Path(sys.executable).parent / "kubectl"
OVERLAYS = tuple(sorted(path.parent.name for path in (KUBERNETES / "overlays").glob("*/kustomization.yaml")))
NAMESPACE = "sensus"
WORKLOADS = ("Deployment", "StatefulSet", "Job")
Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Overlay:
    """Everything in one overlay."""

    name: str
    text: str
    objects: tuple[Object, ...]

    def of(self, *kinds: str) -> Iterator[Object]:
        """The objects of these kinds."""
        return (each for each in self.objects if each["kind"] in kinds)

    def named(self, kind: str, name: str) -> Object:
        """The one object of this kind and name."""
        found = [each for each in self.of(kind) if each["metadata"]["name"] == name]
        assert len(found) == 1, f"{self.name} has {len(found)} of {kind} {name}"
        return found[0]

    def workloads(self) -> Iterator[Object]:
        """What makes pods."""
        return self.of(*WORKLOADS)

    def selected(self, selector: Object) -> list[Object]:
        """The workloads whose pods a selector matches."""
        return [each for each in self.workloads() if matches(selector, pod_labels(each))]


@cache
def overlay(name: str) -> Overlay:
    """The overlay, rendered once."""
    return rendered(KUBERNETES / "overlays" / name, name)


def rendered(folder: Path, name: str) -> Overlay:
    """What a folder with a kustomization gives.  Needs the kubectl that `make` puts into the environment."""
    assert KUBECTL.exists(), f"{KUBECTL} is missing; make puts it there: make {KUBECTL.relative_to(ROOT)}"
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # What kustomize warns of is deprecated, or was ignored.
    assert not done.stderr, done.stderr
    return Overlay(name, done.stdout, tuple(each for each in yaml.safe_load_all(done.stdout) if each))


@cache
def composition() -> Mapping[str, Any]:
    """The services of the Compose file."""
    read = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    services: Mapping[str, Any] = read["services"]
    return services


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes these labels."""
    for requirement in selector.get("matchExpressions", ()):
        value, values = labels.get(requirement["key"]), requirement.get("values", ())
        held = {"In": value in values, "NotIn": value not in values, "Exists": value is not None}
        if not held[requirement["operator"]]:
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def name_of(each: Object) -> str:
    """As errors should call it."""
    return f"{each['kind']} {each['metadata']['name']}"


def pod(workload: Object) -> Mapping[str, Any]:
    """The specification of a workload's pods."""
    spec: Mapping[str, Any] = workload["spec"]["template"]["spec"]
    return spec


def pod_labels(workload: Object) -> Mapping[str, str]:
    """What the pods are known by."""
    labels: Mapping[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return labels


def containers(workload: Object) -> Iterator[Mapping[str, Any]]:
    """All containers of a workload, with those that come before."""
    yield from pod(workload).get("initContainers", ())
    yield from pod(workload)["containers"]


def ours(found: Overlay) -> Iterator[tuple[str, Object, Mapping[str, Any]]]:
    """Our own processes: component, workload, container."""
    for workload in found.workloads():
        labels = pod_labels(workload)
        if labels["app.kubernetes.io/name"] == "sensus":
            (container,) = pod(workload)["containers"]
            yield labels["app.kubernetes.io/component"], workload, container


def ports_of(workload: Object) -> dict[str, int]:
    """The ports of a workload's containers, by name."""
    return {port["name"]: port["containerPort"] for each in containers(workload) for port in each.get("ports", ())}
