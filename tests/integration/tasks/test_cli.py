"""`sensus models` and the choice of a model by `sensus score`."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from db.models import AuditRecord, ModelVersion, TaskRun
from db.session import Database
from ml.builtin import builtin_model
from sensus import cli, settings
from sensus.errors import ConfigurationError, NotFound, Unavailable
from sensus.settings import Settings
from tasks import model_choice
from tasks.in_force import InForce
from tests.integration.tasks.conftest import Put, Sent
from tests.integration.tasks.made import wave


@pytest.fixture
def command(worker: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command line speaks to the test's database."""
    monkeypatch.setenv("SENSUS_DATABASE_URL", worker.require_database_url().replace("+psycopg", ""))
    monkeypatch.setenv("SENSUS_REDIS_URL", worker.require_redis_url())
    settings.current.cache_clear()
    yield
    settings.current.cache_clear()


@pytest.fixture
def version(worker: Settings, database: Database) -> str:
    return InForce().get(database).key.version


def sensus(*words: str) -> int:
    return cli.main(list(words))


def test_models_are_listed_with_the_one_in_force_marked(
    command: None, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sensus("models", "list") == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()][1:] == [["*", version]]


def test_activating_and_rolling_back_is_audited(
    command: None, version: str, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    session.execute(
        text(
            "INSERT INTO model_versions (version, algorithm, training_date, artifact, checksum, feature_names)"
            " VALUES ('other', 'isolation_forest', now(), '', '', '[]')"
        )
    )
    assert sensus("models", "activate", "other") == 0
    assert sensus("models", "rollback") == 0
    active = session.scalars(select(ModelVersion.version).where(ModelVersion.is_active)).one()
    assert active == version
    acts = session.execute(select(AuditRecord.action, AuditRecord.subject).order_by(AuditRecord.id)).all()
    assert [tuple(act) for act in acts] == [
        ("model_activated", "model:other"),
        ("model_rolled_back", f"model:{version}"),
    ]
    assert sensus("models", "rollback") == 1
    assert capsys.readouterr().err.startswith("sensus: no earlier version of isolation_forest")


def test_an_unknown_version_is_one_line_and_exit_code_1(command: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert sensus("models", "activate", "nothing") == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "sensus models list" in told


def test_an_exported_model_scores_files(
    command: None, version: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, source, target = tmp_path / "model", tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (source / "a.csv").write_text("timestamp,value\n2026-01-01,1\n2026-01-02,2\n")
    assert sensus("models", "export", version, str(file)) == 0
    assert sensus("score", "--input", str(source), "--output", str(target), "--model", str(file)) == 0
    assert (target / "a.csv").read_text().startswith("timestamp,score,alert\n2026-01-01,")
    assert f"model of the file {file}" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "reason"), [("train", "0 samples"), ("evaluate", "no series has 250 samples")])
def test_what_could_not_be_done_for_want_of_history_is_one_line_and_exit_code_1(
    kind: str,
    reason: str,
    command: None,
    sent: Sent,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    work_is_done_at_once(kind, monkeypatch)
    assert sensus("models", kind) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(f"sensus: not enough history: {reason}")
    assert "ask again" in told
    assert session.scalars(select(TaskRun.state)).all() == ["done"]


def test_an_evaluation_is_asked_for_and_waited_for(
    command: None,
    version: str,
    sent: Sent,
    put: Put,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put(wave(4_000))
    work_is_done_at_once("evaluate", monkeypatch)
    assert sensus("models", "evaluate") == 0
    assert f"evaluated: {version}" in capsys.readouterr().out


def work_is_done_at_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message starts the work here, beside the command that waits for it."""
    from tasks import evaluation, signatures, training

    task = training.train if kind == "train" else evaluation.evaluate

    def at_once(*, run_id: uuid.UUID) -> None:
        threading.Thread(target=lambda: task(run_id=str(run_id))).start()

    monkeypatch.setattr(signatures, kind, at_once)
    monkeypatch.setattr(signatures, "workers_answering", lambda *, timeout_s: ("maintenance@here",))


def test_without_a_worker_it_says_what_to_do(
    command: None, sent: Sent, session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tasks import cli as tasks_cli
    from tasks import signatures

    monkeypatch.setattr(signatures, "workers_answering", lambda *, timeout_s: ())
    monkeypatch.setattr(tasks_cli, "_NOBODY_AFTER_S", 0.1)
    assert sensus("models", "train") == 1
    told = capsys.readouterr().err
    assert "no maintenance worker answers" in told
    assert "--queues=maintenance" in told.splitlines()[-1]
    assert sensus("models", "train", "--no-wait") == 0
    assert "was under way already" in capsys.readouterr().out
    assert session.scalars(select(TaskRun.state)).all() == ["pending"]


def test_score_takes_the_version_in_force(worker: Settings, database: Database) -> None:
    assert model_choice.choose(None, worker).why.startswith("model builtin-2, since no version is in force")
    InForce().get(database)
    assert model_choice.choose(None, worker).why == "model builtin-2, in force in SENSUS_DATABASE_URL"
    with pytest.raises(NotFound):
        model_choice.choose("nothing", worker)


def test_score_takes_the_version_of_a_running_stack_and_does_without_one_that_is_gone(
    worker: Settings, database: Database, tmp_path: Path
) -> None:
    InForce().get(database)
    offline = Settings(_env_file=None, data_dir=tmp_path, database_url=None, redis_url=None)
    assert model_choice.choose(None, offline).why.endswith("since no stack runs here")
    run_file = tmp_path / "run.json"
    url = worker.require_database_url().replace("+psycopg", "")
    run_file.write_text(json.dumps({"database_url": url, "redis_url": "redis://127.0.0.1:9"}))
    assert model_choice.choose(None, offline).why == f"model builtin-2, in force in {run_file}"
    run_file.write_text(json.dumps({"database_url": "postgresql://x:y@127.0.0.1:9/z", "redis_url": ""}))
    chosen = model_choice.choose(None, offline)
    assert chosen.why.endswith("does not answer")
    assert chosen.model is builtin_model()


def test_a_database_that_was_named_must_answer(tmp_path: Path) -> None:
    away = Settings(_env_file=None, database_url="postgresql://x:y@127.0.0.1:9/z")  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="--model builtin-2"):
        model_choice.choose(None, away)
    with (
        pytest.raises(ConfigurationError, match="sensus up"),
        model_choice.opened(model_choice.addresses(Settings(_env_file=None, data_dir=tmp_path, database_url=None))),
    ):
        pass
