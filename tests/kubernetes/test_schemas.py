"""Every object is what the cluster's API takes, with no field that it would drop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.kubernetes.manifests import KUBERNETES, OVERLAYS, name_of, overlay, rendered

# The oldest that the manifests are meant for, and a new one.
VERSIONS = ("1.31", "1.36")
OURS = Path(__file__).parent / "schemas"
NATIVE = ("v1", "apps/v1", "batch/v1", "autoscaling/v2", "policy/v1", "networking.k8s.io/v1")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OVERLAYS)
def test_the_api_of_kubernetes_takes_every_object(name: str, version: str) -> None:
    checked = 0
    for each in overlay(name).objects:
        if each["apiVersion"] in NATIVE:
            kubernetes_validate.validate(each, version, strict=True)
            checked += 1
    assert checked > 30


@pytest.mark.parametrize("name", OVERLAYS)
def test_operators_take_their_objects(name: str) -> None:
    for each in overlay(name).objects:
        if each["apiVersion"] not in NATIVE:
            file = OURS / f"{each['kind']}.json"
            assert file.exists(), f"{name_of(each)} of {each['apiVersion']} is checked by nothing"
            jsonschema.validate(each, json.loads(file.read_text()))


@pytest.mark.parametrize("file", sorted(OURS.glob("*.json")), ids=lambda file: file.stem)
def test_a_schema_of_an_operator_knows_every_field_that_it_allows(file: Path) -> None:
    """What is not named in it would be allowed, and a slip of the pen would pass."""
    schema = json.loads(file.read_text())
    jsonschema.Draft7Validator.check_schema(schema)

    def closed(part: Mapping[str, Any]) -> None:
        if part.get("type") == "object":
            assert part.get("additionalProperties", True) is not True, part
        for below in (*part.get("properties", {}).values(), *([part["items"]] if "items" in part else [])):
            closed(below)

    closed(schema)


def test_a_misspelt_field_is_found(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [a.yaml]\n")
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "a"},
        "spec": {"accessMode": ["ReadWriteOnce"]},
    }
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(claim))
    (wrong,) = rendered(tmp_path, "a misspelt one").objects
    with pytest.raises(kubernetes_validate.ValidationError, match="accessMode"):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_every_component_is_in_an_overlay_that_is_checked() -> None:
    used = {
        Path(part).name
        for name in OVERLAYS
        for part in yaml.safe_load((KUBERNETES / "overlays" / name / "kustomization.yaml").read_text())["components"]
    }
    assert used == {path.parent.name for path in (KUBERNETES / "components").glob("*/kustomization.yaml")}
