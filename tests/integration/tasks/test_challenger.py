"""Champion and challenger: side by side on the same samples, kept apart, and promoted only when no worse."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from db.models import AnalysisResult, AuditRecord, ModelVersion, SeriesProgress, TaskRun
from db.models.detection import AnomalyFeedback
from db.queries import models, runs, standings
from db.session import Database
from ml.artifact import Model
from ml.builtin import builtin_model
from ml.training import fit_model, ordinary_rows
from sensus.settings import Settings
from tasks import promotion
from tasks.in_force import InForce, Loaded, Pair, as_version, place_of
from tasks.retraining import Comparison
from tests.integration.tasks.conftest import Put, Sent
from tests.integration.tasks.made import scores_of, wave
from tests.integration.tasks.versions import activate, another, challenge, offline, shadow_of


def score(*series_ids: int) -> None:
    from tasks.scoring import score_series

    score_series(series_ids=list(series_ids))


def set_share(worker: Settings, share: float) -> None:
    from tasks.resources import resources

    object.__setattr__(resources(), "settings", worker.model_copy(update={"challenger_share": share}))


def evaluate(database: Database, session: Session) -> TaskRun:
    """The evaluation of now, when it is over."""
    from tasks.evaluation import evaluate as task

    with database.transaction() as mine:
        run_id = runs.start(mine, "evaluate", requested_by="user:ada", request_id="r1")[0]
    task(run_id=str(run_id))
    return session.get_one(TaskRun, uuid.UUID(str(run_id)), populate_existing=True)


def version_of(session: Session, version: str) -> ModelVersion:
    query = select(ModelVersion).where(ModelVersion.version == version)
    return session.scalars(query.execution_options(populate_existing=True)).one()


# ---------------------------------------------------------------- side by side


@pytest.mark.parametrize("batch", [37, 1000])
def test_a_challenger_scores_the_same_samples_and_leaves_no_trace_in_what_people_see(
    worker: Settings, database: Database, session: Session, put: Put, batch: int
) -> None:
    rows = wave(700, spikes=(400, 650))
    challenger = challenge(database)
    for start in range(0, len(rows), batch):
        series_id = put(rows[start : start + batch])
        score(series_id)
        score()
    assert scores_of(session, series_id) == offline([(builtin_model(), rows)])
    assert shadow_of(session, series_id) == offline([(another(), rows)])
    assert session.scalars(text("SELECT DISTINCT model_version_id FROM shadow_scores")).all() == [challenger]
    told = session.scalars(select(AnalysisResult).where(AnalysisResult.analysis_type == "anomaly_detection")).all()
    assert {row.analysis_data["model_version"] for row in told} == {"builtin-2"}


def test_the_figures_of_a_series_in_the_share_are_those_of_the_challenger(
    worker: Settings, database: Database, session: Session, put: Put
) -> None:
    rows = wave(600, spikes=(500,))
    challenge(database)
    set_share(worker, 1.0)
    series_id = put(rows)
    score(series_id)
    assert scores_of(session, series_id) == offline([(another(), rows)])
    assert shadow_of(session, series_id) == offline([(builtin_model(), rows)])
    told = session.scalars(select(AnalysisResult).where(AnalysisResult.analysis_type == "anomaly_detection")).all()
    assert {row.analysis_data["model_version"] for row in told} == {"another"}


@pytest.mark.parametrize("batch", [61, 250, 600])
def test_live_figures_equal_offline_figures_when_a_challenger_is_promoted_in_the_middle(
    worker: Settings, database: Database, session: Session, put: Put, batch: int
) -> None:
    rows = wave(600, spikes=(290, 310, 500))
    parts = rows[:300], rows[300:]
    for part, change in zip(parts, (lambda: challenge(database), lambda: activate(database, "another")), strict=True):
        change()
        for start in range(0, len(part), batch):
            series_id = put(part[start : start + batch])
            score(series_id)
            session.execute(update(SeriesProgress).values(lease_until=None))
            score(series_id)  # a message that comes twice
    assert scores_of(session, series_id) == offline([(builtin_model(), parts[0]), (another(), parts[1])])
    used = session.scalars(text("SELECT model_version_id FROM scores ORDER BY timestamp")).all()
    keys = [version_of(session, version).id for version in ("builtin-2", "another")]
    assert used == [keys[0]] * 300 + [keys[1]] * 300
    assert len(shadow_of(session, series_id)) == 300
    assert session.get_one(SeriesProgress, series_id, populate_existing=True).shadow_memory is None


def test_a_worker_that_comes_late_keeps_nothing_of_the_shadow_either(
    worker: Settings, database: Database, session: Session, put: Put
) -> None:
    from db.queries import progress
    from tasks import scoring

    challenge(database)
    rows = wave(100)
    series_id = put(rows)
    scorers = InForce().pair(database).of_series(series_id, 0.0)
    assert scorers.shadow is not None
    with database.transaction() as mine:
        slow = progress.claim(mine, [], limit=1, lease_s=60)
    if not slow:  # its arrival was not noted yet
        score(series_id)
    session.execute(update(SeriesProgress).values(lease_until=None))
    score(series_id)
    scoring.score_claims(database, scorers, slow)
    assert scores_of(session, series_id) == offline([(builtin_model(), rows)])
    assert shadow_of(session, series_id) == offline([(another(), rows)])


def test_a_challenger_that_cannot_score_costs_nobody_anything(
    worker: Settings, database: Database, session: Session, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import scoring

    rows = wave(60)
    challenge(database)
    real = scoring.score_batch

    def broken(model: Model, series: Any, **options: Any) -> Any:
        if options.get("shadow") is not None:
            raise RuntimeError("of all things")
        return real(model, series, **options)

    monkeypatch.setattr(scoring, "score_batch", broken)
    series_id = put(rows)
    score(series_id)
    assert scores_of(session, series_id) == offline([(builtin_model(), rows)])
    assert shadow_of(session, series_id) == []
    assert session.get_one(SeriesProgress, series_id).failures == 0


def test_a_challenger_whose_bytes_were_tampered_with_does_not_score(
    worker: Settings, database: Database, session: Session, put: Put
) -> None:
    challenge(database)
    session.execute(text("UPDATE model_versions SET artifact = 'evil' WHERE version = 'another'"))
    assert InForce().pair(database).challenger is None
    put(wave(1500))
    run = evaluate(database, session)
    assert run.result["challenger"]["outcome"] == "refused"
    assert version_of(session, "another").role == "stored"


def test_the_share_of_the_shadow_is_bounded_and_stable() -> None:
    with_challenger = Pair(_loaded(builtin_model(), 1), _loaded(another(), 2), shadow_share=0.1)
    scorers = [with_challenger.of_series(series_id, 0.02) for series_id in range(20_000)]
    own = [each.own.key.id for each in scorers]
    shadowed = sum(each.shadow is not None for each in scorers)
    assert 0.09 < shadowed / 20_000 < 0.11
    assert 0.015 < own.count(2) / 20_000 < 0.025
    wider = [with_challenger.of_series(series_id, 0.05).own.key.id for series_id in range(20_000)]
    assert all(after == 2 for before, after in zip(own, wider, strict=True) if before == 2)
    assert all(0.0 <= place_of(series_id) < 1.0 for series_id in (0, 1, 2**62))
    alone = Pair(with_challenger.champion)
    assert alone.of_series(1, 1.0).own is alone.champion


def test_of_many_series_a_challenger_scores_about_500(
    worker: Settings, database: Database, session: Session, monkeypatch: pytest.MonkeyPatch, put: Put
) -> None:
    monkeypatch.setattr(standings, "MOST_SHADOWED", 2)
    for number in range(8):
        score(put(wave(1), f"cpu{number}"))
    challenge(database)
    assert version_of(session, "another").shadow_share == 0.25


# ---------------------------------------------------------------- the decision


def shadowed(database: Database, session: Session, put: Put, monkeypatch: pytest.MonkeyPatch) -> int:
    """A series that both scored for long enough."""
    monkeypatch.setattr(promotion, "LEAST_SHADOW_S", 0.0)
    monkeypatch.setattr(promotion, "LEAST_SHADOWED", 100)
    challenge(database)
    series_id = put(wave(1500, spikes=range(1400, 1404)))
    score(series_id)
    return series_id


def no_worse(monkeypatch: pytest.MonkeyPatch, verdict: bool) -> None:
    monkeypatch.setattr(Comparison, "is_no_worse", property(lambda self: verdict))


def test_a_challenger_that_is_no_worse_is_promoted_with_all_figures_stored(
    worker: Settings, database: Database, session: Session, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadowed(database, session, put, monkeypatch)
    no_worse(monkeypatch, True)
    run = evaluate(database, session)
    assert run.result["challenger"] == {
        "outcome": "promoted",
        "version": "another",
        "reasons": ["no worse in anything"],
    }
    row = version_of(session, "another")
    assert (row.role, version_of(session, "builtin-2").role) == ("champion", "former")
    decision = row.evaluation["decision"]
    assert (decision["outcome"], decision["champion"]) == ("promoted", "builtin-2")
    assert {"candidate", "present", "verdict"} == set(decision["faults"])
    assert decision["shadow"]["samples"] == pytest.approx(144, abs=4)
    assert {"challenger", "champion"} == set(decision["feedback"])
    acts = session.execute(select(AuditRecord.action, AuditRecord.actor)).all()
    assert [tuple(act) for act in acts] == [("model_activated", "system:evaluation")]
    with database.transaction() as mine:
        assert models.rollback(mine, "isolation_forest").version == "builtin-2"
    again = evaluate(database, session)
    assert "challenger" not in again.result, "what was withdrawn does not challenge by itself"
    assert version_of(session, "another").evaluation["decision"] == decision


def test_a_challenger_that_is_worse_on_faults_is_refused_and_scores_no_more(
    worker: Settings, database: Database, session: Session, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadowed(database, session, put, monkeypatch)
    no_worse(monkeypatch, False)
    run = evaluate(database, session)
    assert run.result["challenger"]["outcome"] == "refused"
    assert "injected faults" in run.result["challenger"]["reasons"][0]
    row = version_of(session, "another")
    assert (row.role, row.evaluation["decision"]["outcome"]) == ("stored", "refused")
    assert version_of(session, "builtin-2").is_active


def test_a_challenger_that_scored_too_little_waits(
    worker: Settings, database: Database, session: Session, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    challenge(database)
    score(put(wave(1500)))
    no_worse(monkeypatch, True)
    assert evaluate(database, session).result["challenger"]["outcome"] == "waits"
    assert version_of(session, "another").role == "challenger"


def test_what_people_said_decides_with(
    worker: Settings, database: Database, session: Session, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    series_id = shadowed(database, session, put, monkeypatch)
    no_worse(monkeypatch, True)
    spike = session.scalars(
        select(AnalysisResult.sample_at).where(AnalysisResult.analysis_type == "anomaly_detection")
    ).first()
    session.add(AnomalyFeedback(series_id=series_id, sample_at=spike, verdict="real", actor="ada"))
    session.flush()
    # A challenger that pages for nothing would miss what was real.
    deaf = fit_model("another", ordinary_rows()[:3000], {"seed": 7}, parameters={"alert_weight": -1e6})
    monkeypatch.setattr("tasks.evaluation.load_version", lambda *_: deaf)
    run = evaluate(database, session)
    assert run.result["challenger"]["outcome"] == "refused"
    assert "judged samples" in run.result["challenger"]["reasons"][0]
    assert run.result["feedback_precision"] == 1.0
    assert run.result["feedback"] == {"real": 1, "real_paged": 1, "false": 0, "false_paged": 0, "precision": 1.0}


def test_a_decision_is_void_when_another_version_was_activated_meanwhile(
    worker: Settings, database: Database, session: Session, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import evaluation

    shadowed(database, session, put, monkeypatch)
    no_worse(monkeypatch, True)
    real = evaluation.decide

    def meanwhile(*figures: Any) -> Any:
        with database.transaction() as mine:
            models.add(mine, as_version(_renamed("third"), data_window={}, evaluation={}))
            models.activate(mine, "third")
        return real(*figures)

    monkeypatch.setattr(evaluation, "decide", meanwhile)
    assert evaluate(database, session).result["challenger"]["outcome"] == "another_was_activated"
    assert version_of(session, "third").is_active


def test_a_champion_has_its_live_figures_and_its_drift(
    worker: Settings, database: Database, session: Session, put: Put
) -> None:
    rows = wave(1500, spikes=(1480,))
    for name in ("a", "b"):
        score(put(rows, name))
    evaluate(database, session)
    row = version_of(session, "builtin-2")
    figures = row.evaluation
    assert figures["live_series"] == 2
    assert figures["live_samples"] == sum(figures["score_counts"]) == pytest.approx(144, abs=4)
    assert 0.0 <= figures["score_median"] <= figures["score_p90"] <= figures["score_p99"] <= 1.0
    assert figures["anomalies_per_series_week"] > 1.0
    assert row.drift["largest"] == max(row.drift["psi"].values()) == row.drift["psi"][row.drift["feature"]]
    assert row.drift["samples"] > 500


def _loaded(model: Model, version_id: int) -> Loaded:
    return Loaded(models.VersionKey(version_id, model.version, "", model.algorithm), model)


def _renamed(version: str) -> Model:
    fields = {name: getattr(builtin_model(), name) for name in Model.__dataclass_fields__}
    return Model(**{**fields, "version": version})


def test_beats_wish_starts_one_evaluation(sent: Sent, session: Session) -> None:
    from tasks.evaluation import start_evaluation

    start_evaluation()
    start_evaluation()
    assert [run.kind for run in session.scalars(select(TaskRun))] == ["evaluate"]
    assert len(sent.of("evaluate")) == 1
