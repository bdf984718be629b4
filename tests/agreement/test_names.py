"""Names that live in two places stay the same in both."""

from __future__ import annotations

import configparser
import importlib
import importlib.metadata
import inspect
import re
from pathlib import Path

import pytest

import celery_config
from sensus import cli, readme, settings
from sensus.cli import COMMANDS
from sensus.runtime import names
from tests.servers import PrivateServers

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("sensus", "db", "ml", "llm", "tasks", "web", "bench")


@pytest.fixture(scope="module")
def celery_app(servers: PrivateServers):
    """The application with all its tasks; it reads its broker when it is imported, and keeps it for tests to come."""
    app = importlib.import_module("tasks.app").app
    app.loader.import_default_modules()
    return app


def test_every_message_that_can_be_sent_has_a_task_with_the_same_arguments(celery_app) -> None:
    source = (ROOT / "tasks" / "signatures.py").read_text()
    sent = re.findall(r'_send\("([\w.]+)",\s*(\w+)=', source)
    assert sent
    for name, argument in sent:
        assert name in celery_app.tasks, name
        assert argument in inspect.signature(celery_app.tasks[name].run).parameters, name


def test_every_entry_of_the_schedule_is_a_task_on_a_queue_that_exists(celery_app) -> None:
    for entry in celery_config.beat_schedule.values():
        assert entry["task"] in celery_app.tasks
        route = celery_app.amqp.router.route({}, entry["task"])
        assert route["queue"].name in celery_config.QUEUES


def test_every_task_of_ours_goes_to_the_queue_of_its_kind(celery_app) -> None:
    kinds = {"scoring": "anomaly", "analysis": "llm"}
    ours = [name for name in celery_app.tasks if name.startswith("tasks.")]
    assert len(ours) >= 6
    for name in ours:
        assert celery_app.amqp.router.route({}, name)["queue"].name == kinds.get(name.split(".")[1], "maintenance")


def test_the_process_table_has_a_worker_for_every_queue() -> None:
    assert names.QUEUES == celery_config.QUEUES


def test_the_readme_has_the_settings_that_the_code_has() -> None:
    text = (ROOT / "README.md").read_text()
    assert text == readme.with_table(text), "run `make readme`"


def test_every_variable_that_the_texts_name_is_a_setting() -> None:
    known = settings.variables()
    texts = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "sensus").rglob("*.py"),
        *(ROOT / "web").rglob("*.py"),
    ]
    for path in texts:
        for name in re.findall(r"SENSUS_[A-Z][A-Z_]*[A-Z]", path.read_text("utf-8")):
            is_example = name in {"SENSUS_API_PORT"} or path.name == "settings.py"
            assert is_example or name in known, f"{name} in {path}"


def test_every_command_can_be_imported_and_asks_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        for name in (command.configure, command.run):
            module, _, function = name.partition(":")
            assert callable(getattr(importlib.import_module(module), function)), name
        with pytest.raises(SystemExit) as asked:
            cli.main([command.name, "--help"])
        assert asked.value.code == 0
        assert f"usage: sensus {command.name}" in capsys.readouterr().out


def test_every_route_of_the_api_is_in_the_openapi_document(app) -> None:
    described = {
        (method.upper(), re.sub(r"{(\w+)}", r"<\1>", path))
        for path, methods in app.test_client().get("/openapi.json").get_json()["paths"].items()
        for method in methods
        if method in {"get", "post", "put", "patch", "delete"}
    }
    routed = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"<\1>", rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routed
    assert routed <= described


def test_every_metric_that_is_counted_is_shown(client) -> None:
    shown = client.get("/metrics").get_data(as_text=True)
    source = (ROOT / "sensus" / "metrics.py").read_text()
    names = re.findall(r'(?:Counter|Histogram|Gauge)\(\s*"(\w+)"', source)
    assert len(names) > 10
    for name in names:
        assert f"# TYPE {name.removesuffix('_total')}" in shown or f"# TYPE {name} " in shown, name


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_ours_and_no_namesake_from_the_index(package: str) -> None:
    module = importlib.import_module(package)
    assert Path(module.__file__ or "").is_relative_to(ROOT)
    assert importlib.metadata.packages_distributions().get(package, ["sensus"]) in (["sensus"], ["sensus", "sensus"])


def test_the_tables_are_what_the_models_say(database) -> None:
    from db import cli

    assert cli.check(database)


def test_the_names_that_others_hold_on_to_are_in_the_database(database) -> None:
    from sqlalchemy import text

    columns = {
        "alerts": "id alert_name severity description labels annotations starts_at ends_at generator_url status "
        "created_at",
        "ai_analysis_results": "id alert_id analysis_type model_name analysis_data confidence_score created_at",
        "model_versions": "id version algorithm parameters training_date is_active",
        "metrics": "metric_name metric_value labels timestamp",
    }
    indexes = {
        "idx_metrics_name_ts",
        "idx_metrics_labels",
        "idx_alerts_status",
        "idx_alerts_created_at",
        "idx_analysis_alert_id",
    }
    with database.transaction() as session:
        for table, names in columns.items():
            there = session.scalars(
                text("SELECT column_name FROM information_schema.columns WHERE table_name = :t"), {"t": table}
            )
            assert set(names.split()) <= set(there), table
        assert indexes <= set(session.scalars(text("SELECT indexname FROM pg_indexes")))


def test_what_is_needed_at_run_time_is_packaged() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    patterns = ["*.py", *config["options.package_data"]["*"].split(", ")]
    files = [path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file()]
    assert len(files) > 100
    for path in files:
        # A page of documentation is read in the repository.
        if "__pycache__" in path.parts or path.suffix == ".md":
            continue
        # A folder without `__init__.py` is no package, and then its files are in no wheel.
        assert (path.parent / "__init__.py").exists(), f"{path.parent} is in no wheel"
        assert any(path.match(pattern) for pattern in patterns), f"{path} is in no wheel"


def test_each_advisory_lock_has_a_number_of_its_own() -> None:
    found = [
        number
        for path in (ROOT / "db").rglob("*.py")
        for number in re.findall(r"^_?[A-Z_]+ = (0x[0-9A-Fa-f_]+)$", path.read_text(), re.MULTILINE)
    ]
    assert len(found) == len(set(found)) >= 5, sorted(found)
