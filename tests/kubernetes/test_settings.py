"""What does a setting change?  The pods that read it, and no Job, since a Job can't be changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tests.kubernetes.manifests import KUBERNETES, OVERLAYS, Object, Overlay, overlay, rendered

SERVERS = ("SENSUS_DATABASE_URL", "SENSUS_REDIS_URL")


def _own(folder: Path, over: str, **settings: str) -> Overlay:
    """An overlay of somebody's own, with settings that the one below does not have."""
    folder.mkdir()
    literals = [f"{name}={value}" for name, value in settings.items()]
    kustomization = {
        "resources": [os.path.relpath(KUBERNETES / "overlays" / over, folder.resolve())],
        "configMapGenerator": [{"name": "settings", "behavior": "merge", "literals": literals}],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return rendered(folder, f"one's own over {over}")


def _told(found: Overlay, prefix: str) -> Object:
    (config,) = (each for each in found.of("ConfigMap") if each["metadata"]["name"].startswith(prefix))
    data: Object = config["data"]
    return data


@pytest.mark.parametrize("over", OVERLAYS)
def test_a_setting_makes_new_pods_and_changes_no_job(over: str, tmp_path: Path) -> None:
    before = _own(tmp_path / "before", over, SENSUS_LLM_MODEL="llama2")
    after = _own(tmp_path / "after", over, SENSUS_LLM_MODEL="llama3.1")
    assert before.named("Deployment", "worker-llm") != after.named("Deployment", "worker-llm")
    assert list(before.of("Job")) == list(after.of("Job")) == list(overlay(over).of("Job"))


@pytest.mark.parametrize("over", OVERLAYS)
def test_tables_are_made_where_the_processes_look_for_them(over: str) -> None:
    found = overlay(over)
    (job,) = found.of("Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"configMapRef": {"name": "prepare"}}]
    settings = _told(found, "settings-")
    assert _told(found, "prepare") == {name: settings[name] for name in SERVERS}
