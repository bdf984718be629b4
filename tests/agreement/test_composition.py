"""The composition, the images and the process table say the same of processes, ports, settings, secrets and limits."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import celery_config
from sensus import reporting, settings
from sensus.runtime import processes
from sensus.runtime.names import OURS
from tests.containers.images import UNTRIED

ROOT = Path(__file__).parent.parent.parent
DOCKER = ROOT / "ops/docker"
COMPOSED: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSED["services"]
DOCKERFILE = (DOCKER / "Dockerfile").read_text("utf-8")
# The services that are processes of `sensus up`, by the name that the process table gives them.
PROCESSES = {
    service["command"][1]: name for name, service in SERVICES.items() if service.get("command", [""])[0] == "run"
}
# Settings that a container is not told, each with the reason.
NOT_PASSED_ON = {
    "SENSUS_DATA_DIR": "the image says where it may write",
    "SENSUS_HOST": "the image listens everywhere inside its container",
    "SENSUS_FLOWER_HOST": "the same",
    "SENSUS_LOG_FORMAT": "the image logs as programs read it",
    "SENSUS_PORT": "inside a container the default is free",
    "SENSUS_FLOWER_PORT": "the same",
    "SENSUS_POSTGRES_PORT": "no embedded server runs in a container",
    "SENSUS_REDIS_PORT": "the same",
    "SENSUS_DATABASE_DIRECT_URL": "no pooler stands before the PostgreSQL of the composition",
    "SENSUS_REPORTING_PASSWORD": "a script makes the role when the database is made",
    # These come with a file or a folder, which docker-compose.override.yml mounts; docs/deployment.md shows how.
    "SENSUS_NOTIFY_URLS": "a secret that not everybody has",
    "SENSUS_GITHUB_SECRET": "the same",
    "SENSUS_LLM_KEY": "the same",
    "SENSUS_RUNBOOKS": "a folder that not everybody has",
}
OPTIONAL = {"SENSUS_NOTIFY_URLS", "SENSUS_GITHUB_SECRET", "SENSUS_LLM_KEY", "SENSUS_RUNBOOKS"}
TOLD = {name for service in SERVICES.values() for name in service.get("environment", ()) if name.startswith("SENSUS_")}


def names_of(service: dict[str, Any], what: str) -> set[str]:
    """The networks or secrets of a service, however they are written."""
    return {each["source"] if isinstance(each, dict) else each for each in service.get(what, ())}


def test_every_process_of_ours_is_one_service() -> None:
    assert set(PROCESSES) == set(OURS)
    assert all(name == ("api" if process == "web" else process) for process, name in PROCESSES.items())


def test_every_variable_that_a_container_is_told_is_a_setting() -> None:
    in_image = set(re.findall(r"\b(SENSUS_\w+)=", DOCKERFILE))
    assert in_image
    assert (TOLD | in_image) <= set(settings.variables())


def test_every_setting_reaches_the_containers_or_has_a_reason_not_to() -> None:
    told = {name.removesuffix("_FILE") for name in TOLD}
    assert set(NOT_PASSED_ON) <= set(settings.names())
    assert told.isdisjoint(NOT_PASSED_ON)
    assert told | set(NOT_PASSED_ON) == set(settings.names())


def test_what_comes_with_a_file_of_the_users_own_is_shown() -> None:
    text = (ROOT / "docs/deployment.md").read_text("utf-8")
    shown = yaml.safe_load(re.findall(r"```yaml\n(# docker-compose.override.yml.*?)```", text, re.DOTALL)[0])
    told = {name for service in shown["services"].values() for name in service.get("environment", ())}
    assert {name.removesuffix("_FILE") for name in told} == OPTIONAL
    assert told <= set(settings.variables())
    assert set(shown["services"]) <= set(SERVICES)
    assert {name for service in shown["services"].values() for name in names_of(service, "secrets")} == set(
        shown["secrets"]
    )


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_stands_in_an_environment(name: str) -> None:
    service = SERVICES[name]
    for variable, value in (service.get("environment") or {}).items():
        assert variable not in {each for each in settings.secret_names() if not each.endswith("_URL")}
        if str(value).startswith("/run/secrets/"):
            assert variable.endswith("_FILE")
            assert Path(value).name in names_of(service, "secrets"), f"{name} is not given {value}"
        else:
            assert "PASSWORD" not in variable, variable
            assert ":@" not in str(value) and not re.search(r"://[^/]*:[^/]*@", str(value)), variable  # noqa: PT018


def test_every_secret_is_used_defined_and_made(tmp_path: Path) -> None:
    defined = set(COMPOSED["secrets"])
    assert {secret for service in SERVICES.values() for secret in names_of(service, "secrets")} == defined
    assert {Path(each["file"]) for each in COMPOSED["secrets"].values()} == {Path("secrets") / name for name in defined}
    folder = tmp_path / "secrets"
    command = ["sh", str(DOCKER / "secrets.sh"), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    made = {path.name: path.read_bytes() for path in folder.iterdir()}
    # The certificate is for the profile `tls` alone.
    needs_openssl = set() if shutil.which("openssl") else {"tls_certificate", "tls_key"}
    assert set(made) == defined - needs_openssl
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(set(made.values())) == len(made)
    assert not subprocess.run(command, check=True, capture_output=True).stdout
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == made


def test_the_secrets_that_are_made_are_good_settings(tmp_path: Path) -> None:
    subprocess.run(["sh", str(DOCKER / "secrets.sh"), str(tmp_path)], check=True, capture_output=True)
    environment = {**os.environ, "SENSUS_DATA_DIR": str(tmp_path / "data")}
    for name, value in SERVICES["prepare"]["environment"].items():
        if str(value).startswith("/run/secrets/"):
            environment[name] = str(tmp_path / Path(value).name)
    code = "from sensus import settings; s = settings.load(); print(len(s.source_key.get_secret_value()))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "47", done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_do_no_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "cpus", "pids_limit", "logging", "restart"} <= set(service)
    assert re.search(r":v?\d+\.?\d*", service["image"]), "an image without a version is another tomorrow"
    assert all(port.startswith(("127.0.0.1:", "${TLS_ADDRESS")) for port in service.get("ports", ()))


def test_networks_keep_apart_what_need_not_meet() -> None:
    on = {name: set(service["networks"]) for name, service in SERVICES.items()}
    inner = {name for name, network in COMPOSED["networks"].items() if network.get("internal")}
    assert inner == {"data", "proxy", "watch"}
    assert {name for name, networks in on.items() if "proxy" in networks} == {"api", "nginx"}
    # By another way the API would see it under an address that it does not believe.
    assert on["nginx"] & on["api"] == {"proxy"}
    for server in ("postgres", "redis"):
        assert on[server] == {"data"}
    assert all(on[name] - inner for name in SERVICES if "ports" in SERVICES[name]), "inner networks publish nothing"


def test_the_api_believes_the_addresses_of_the_proxy_network_and_those_it_is_told() -> None:
    subnet = COMPOSED["networks"]["proxy"]["ipam"]["config"][0]["subnet"]
    assert SERVICES["api"]["environment"]["SENSUS_TRUSTED_PROXIES"] == subnet + ",${SENSUS_TRUSTED_PROXIES:-}"
    default = re.fullmatch(r"\$\{PROXY_SUBNET:-(.+)\}", subnet)
    assert default is not None
    assert ipaddress.ip_network(default.group(1)).is_private


def test_prometheus_reaches_every_target_at_its_port() -> None:
    scraped = yaml.safe_load((ROOT / "ops/prometheus/prometheus.yml").read_text("utf-8"))["scrape_configs"]
    targets = dict(
        target.rsplit(":", 1)
        for job in scraped
        if job["job_name"] != "ollama"
        for static in job["static_configs"]
        for target in static["targets"]
    )
    ours = settings.Settings.model_fields
    figures = SERVICES["beat"]["environment"]["SENSUS_METRICS_PORT"]
    assert targets.pop("localhost") == "9090"
    assert targets.pop("api") == str(ours["port"].default)
    assert targets.pop("flower") == str(ours["flower_port"].default)
    for process in OURS:
        if process not in {"web", "flower"}:
            assert SERVICES[process]["environment"]["SENSUS_METRICS_PORT"] == figures
            assert targets.pop(process) == figures
    assert f"--port={targets.pop('celery-exporter')}" in (DOCKER / "celery-exporter/start.sh").read_text()
    assert targets == {"postgres-exporter": "9187", "redis-exporter": "9121", "alertmanager": "9093"}
    for name in ("api", "flower", "celery-exporter", "postgres-exporter", "redis-exporter", "alertmanager", *OURS[1:]):
        assert "watch" in SERVICES[name]["networks"], name


def test_an_image_exposes_the_ports_of_its_processes() -> None:
    exposed = {port for line in re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.MULTILINE) for port in line.split()}
    ours = settings.Settings.model_fields
    figures = SERVICES["beat"]["environment"]["SENSUS_METRICS_PORT"]
    assert exposed == {str(ours["port"].default), str(ours["flower_port"].default), figures, "9808"}
    assert SERVICES["api"]["ports"] == ["127.0.0.1:8080:8080"]
    assert SERVICES["flower"]["ports"] == ["127.0.0.1:5555:5555"]


def test_exporters_look_at_the_queues_that_there_are() -> None:
    queues = ",".join(celery_config.QUEUES)
    assert f"--queues={queues}" in (DOCKER / "celery-exporter/start.sh").read_text()
    assert f"-check-single-keys={queues}" in SERVICES["redis-exporter"]["command"]


def test_a_process_is_given_longer_to_stop_than_it_may_take(tmp_path: Path) -> None:
    stack = processes.Stack(
        data_dir=tmp_path,
        environment={},
        redis_url="redis://127.0.0.1:1/0",
        host="127.0.0.1",
        port=1,
        flower_host="127.0.0.1",
        flower_port=2,
        flower_password="x",
    )
    for spec in processes.process_table(stack):
        grace = float(SERVICES[PROCESSES[spec.name]]["stop_grace_period"].removesuffix("s"))
        assert grace > spec.stop_timeout_s


def test_who_needs_a_server_waits_until_it_is_well() -> None:
    for name in PROCESSES.values():
        needs = SERVICES[name]["depends_on"]
        assert needs["redis"] == {"condition": "service_healthy"}
        assert name == "flower" or needs["prepare"] == {"condition": "service_completed_successfully"}
        assert SERVICES[name]["healthcheck"]["test"] == ["CMD", "sensus", "probe"]
    assert SERVICES["prepare"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for service in SERVICES.values():
        for need, how in service.get("depends_on", {}).items():
            assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[need]


def test_the_role_of_dashboards_is_made_as_the_product_makes_it() -> None:
    script = (DOCKER / "postgres/10-roles.sh").read_text()
    assert f"CREATE ROLE {reporting.ROLE} LOGIN" in script
    assert f"CONNECTION LIMIT {reporting.CONNECTIONS};" in script
    for statement in reporting.STATEMENTS:
        if " SET " in statement:
            assert f"{statement};" in script


def test_nginx_lets_through_what_the_api_takes() -> None:
    allowed = re.search(r"client_max_body_size (\d+)m;", (DOCKER / "nginx/sensus.conf").read_text())
    assert allowed is not None
    assert int(allowed.group(1)) * 2**20 > settings.Settings.model_fields["max_body_bytes"].default


def test_what_could_not_be_tried_is_told() -> None:
    assert set(SERVICES) >= UNTRIED
    text = (ROOT / "docs/deployment.md").read_text("utf-8")
    told = text[text.index("## What was tried") :]
    assert all(word in told for word in ("Grafana", "Ollama"))


def test_the_engine_gets_what_the_images_are_made_of_and_nothing_else() -> None:
    copied = set()
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        copied |= {word.split("/")[0] if word.startswith("requirements") else word for word in line.split()[:-1]}
    offered = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {name for name in copied if not any(name.startswith(each) for each in offered)} == set()
    assert {each for each in offered if not any(name.startswith(each) for name in copied)} == set()
    assert {"db", "llm", "ml", "sensus", "tasks", "web", "celery_config.py"} <= copied
