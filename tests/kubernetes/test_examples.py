"""The examples of docs/kubernetes.md are overlays that somebody may copy."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes.manifests import KUBERNETES, OVERLAYS, ROOT, Object, Overlay, containers, overlay, rendered

IMAGES = {"sensus-web", "sensus-worker", "sensus-celery-exporter"}


def _examples() -> Iterator[Mapping[str, Any]]:
    """Those for kustomize: one is whole, the others are what may be added to it."""
    for text in re.findall(
        r"^```yaml\n(.*?)^```", (ROOT / "docs/kubernetes.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    ):
        read = yaml.safe_load(text)
        if "grafana" not in read:
            yield read


def _whole() -> Mapping[str, Any]:
    (found,) = (each for each in _examples() if "resources" in each)
    return found


def _part(key: str) -> Mapping[str, Any]:
    (found,) = (each for each in _examples() if list(each) == [key])
    return found


def _own(folder: Path, over: str, example: Mapping[str, Any]) -> Overlay:
    below = os.path.relpath(KUBERNETES / "overlays" / over, folder.resolve())
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({**example, "resources": [below]}))
    return rendered(folder, over)


@pytest.mark.parametrize("over", OVERLAYS)
def test_all_images_of_ours_come_from_the_registry_and_figures_have_the_label(over: str, tmp_path: Path) -> None:
    found = _own(tmp_path, over, _whole())
    images = {each["image"] for workload in found.workloads() for each in containers(workload)}
    ours = {image for image in images if image.rpartition("/")[2].partition(":")[0] in IMAGES}
    assert len(ours) == (2 if over == "standard" else 3)
    assert all(image.startswith("registry.example.org/") for image in ours), ours
    for each in found.of("ServiceMonitor", "Probe", "PrometheusRule"):
        assert each["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    # A label of an object is none of its pods, and of no selector.
    assert [_selectors(each) for each in found.objects] == [_selectors(each) for each in overlay(over).objects]


@pytest.mark.parametrize("over", OVERLAYS)
def test_a_model_server_of_ones_own_can_be_reached(over: str, tmp_path: Path) -> None:
    found = _own(tmp_path, over, _part("patches"))
    (rule,) = found.named("NetworkPolicy", "to-model")["spec"]["egress"]
    assert rule == {"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "ports": [{"port": 11434}]}
    assert found.named("NetworkPolicy", "to-model")["spec"]["podSelector"]


@pytest.mark.parametrize("over", OVERLAYS)
def test_other_servers_are_told_to_the_job_too(over: str, tmp_path: Path) -> None:
    shutil.copy(KUBERNETES / "overlays/managed/servers.env", tmp_path)
    found = _own(tmp_path, over, _part("configMapGenerator"))
    told = [
        each["data"]["SENSUS_DATABASE_URL"]
        for each in found.of("ConfigMap")
        if each["metadata"]["name"].startswith(("settings-", "prepare"))
    ]
    assert len(told) == 2
    assert all("@postgres.example.org:" in url for url in told)


def _selectors(each: Object) -> tuple[Any, Any]:
    spec = each.get("spec", {})
    return spec.get("selector"), spec.get("template", {}).get("metadata", {}).get("labels")
