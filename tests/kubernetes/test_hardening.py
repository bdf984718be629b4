"""Pods may do no more than they must, and no more than the restricted profile allows."""

from __future__ import annotations

import pytest

from tests.kubernetes.manifests import OVERLAYS, Overlay, composition, containers, name_of, overlay, pod, pod_labels


@pytest.fixture(params=OVERLAYS)
def found(request: pytest.FixtureRequest) -> Overlay:
    return overlay(request.param)


def test_the_namespace_enforces_the_restricted_profile(found: Overlay) -> None:
    (namespace,) = found.of("Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_nobody_is_root_and_no_file_of_an_image_changes(found: Overlay) -> None:
    for workload in found.workloads():
        everyone = pod(workload)["securityContext"]
        assert everyone["runAsNonRoot"] is True, name_of(workload)
        # A name alone would be checked by nobody.
        assert everyone["runAsUser"] > 0, name_of(workload)
        assert everyone["seccompProfile"] == {"type": "RuntimeDefault"}, name_of(workload)
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod(workload)), name_of(workload)
        for container in containers(workload):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, f"{name_of(workload)}: {container['name']}"


def test_no_pod_can_speak_to_the_cluster(found: Overlay) -> None:
    for workload in found.workloads():
        assert pod(workload)["automountServiceAccountToken"] is False, name_of(workload)
    assert not list(found.of("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"))


def test_no_pod_gets_variables_of_services(found: Overlay) -> None:
    for workload in found.workloads():
        assert pod(workload)["enableServiceLinks"] is False, name_of(workload)


def test_every_container_has_requests_and_limits(found: Overlay) -> None:
    for workload in found.workloads():
        for container in containers(workload):
            for what in ("requests", "limits"):
                assert set(container["resources"][what]) >= {"cpu", "memory"}, f"{name_of(workload)}: {what}"


def test_every_image_has_a_version(found: Overlay) -> None:
    known = {service["image"] for service in composition().values()}
    for workload in found.workloads():
        for container in containers(workload):
            assert container["image"] in known, f"{container['image']} is not that of the composition"
            assert container["image"].partition(":")[2] not in ("", "latest")


def test_secrets_come_in_files_alone(found: Overlay) -> None:
    assert not list(found.of("Secret")), "a secret stands in the repository"
    for workload in found.workloads():
        for container in containers(workload):
            for variable in container.get("env", ()):
                assert "valueFrom" not in variable, f"{name_of(workload)}: {variable['name']}"
            assert not [source for source in container.get("envFrom", ()) if "secretRef" in source]
        for volume in pod(workload)["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] == 0o440, name_of(workload)
                assert volume["secret"]["items"], "a pod sees only what it needs"


def test_every_process_that_goes_on_is_probed(found: Overlay) -> None:
    for workload in found.of("Deployment", "StatefulSet"):
        for container in pod(workload)["containers"]:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert probe in container, f"{name_of(workload)}: {probe}"
                # By default one second, which a busy machine exceeds.
                assert container[probe]["timeoutSeconds"] > 1, f"{name_of(workload)}: {probe}"


def test_several_pods_of_one_kind_leave_one_by_one_and_stay_apart(found: Overlay) -> None:
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in found.of("HorizontalPodAutoscaler", "ScaledObject")}
    budgets = list(found.of("PodDisruptionBudget"))
    many = [
        each
        for each in found.of("Deployment")
        if each["metadata"]["name"] in scaled or each["spec"].get("replicas", 1) > 1
    ]
    assert len(many) >= 4
    for workload in many:
        (budget,) = (each for each in budgets if found.selected(each["spec"]["selector"]) == [workload])
        assert budget["spec"]["maxUnavailable"] == 1
        apart = pod(workload)["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
        (spread,) = pod(workload)["topologySpreadConstraints"]
        for selector in (apart[0]["podAffinityTerm"]["labelSelector"], spread["labelSelector"]):
            assert found.selected(selector) == [workload], name_of(workload)
    assert len(budgets) == len(many), "a budget for a single pod holds up whoever empties a node"


def test_beat_is_never_there_twice(found: Overlay) -> None:
    beat = found.named("Deployment", "beat")
    assert beat["spec"]["replicas"] == 1
    assert beat["spec"]["strategy"] == {"type": "Recreate"}
    assert pod_labels(beat)["app.kubernetes.io/component"] == "beat"
