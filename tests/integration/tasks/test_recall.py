"""What was learnt from past incidents and what is written in runbooks is evidence of the next incident."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from db.models import AnalysisResult, Incident, IncidentHistory, RunbookSection
from sensus import metrics, times
from tests.factories import alert as message
from tests.factories import alertmanager_webhook
from tests.integration.tasks.conftest import Sent
from tests.ollama_server import OllamaServer

Change = Callable[..., None]


def fire(writer: FlaskClient, name: str, service: str, *, minutes: float = 5, **further: Any) -> dict[str, Any]:
    told = message(
        name,
        starts_at=times.now().replace(microsecond=0) - timedelta(minutes=minutes),
        labels={"instance": "", "service": service},
        **further,
    )
    assert writer.post("/api/v1/alerts", json=alertmanager_webhook([told])).status_code == 202
    return told


def settled(session: Session) -> Incident:
    """Groups, lets the incident settle and answers from the evidence; the newest incident."""
    from tasks.grouping import group
    from tasks.upkeep import answer_unanswered

    group()
    earlier = times.now() - timedelta(hours=1)
    session.execute(update(Incident).values(changed_at=earlier, state_since=earlier))
    group()
    answer_unanswered()
    session.expire_all()
    return session.scalars(select(Incident).order_by(Incident.id.desc()).limit(1)).one()


def analysis_of(session: Session, incident: Incident) -> AnalysisResult:
    query = select(AnalysisResult).where(AnalysisResult.incident_id == incident.id).order_by(AnalysisResult.id.desc())
    return session.scalars(query.limit(1)).one()


def evidence_of(session: Session, incident: Incident, kind: str) -> list[dict[str, Any]]:
    return [item for item in analysis_of(session, incident).analysis_data["evidence"] if item["kind"] == kind]


def past(writer: FlaskClient, session: Session, name: str, service: str) -> Incident:
    """An incident that is over; it began days ago, so that nothing of now belongs to it."""
    told = fire(writer, name, service, minutes=3 * 24 * 60)
    incident = settled(session)
    over = {**told, "status": "resolved", "endsAt": times.isoformat(times.now() - timedelta(days=2))}
    assert writer.post("/api/v1/alerts", json=alertmanager_webhook([over])).status_code == 202
    settled(session)
    session.refresh(incident)
    assert incident.status == "resolved"
    return incident


def judge(writer: FlaskClient, analysis_id: int, **said: Any) -> None:
    answer = writer.post(f"/api/v1/analysis/{analysis_id}/feedback", json={"helpful": True, **said})
    assert answer.status_code == 201, answer.text


def test_the_cause_that_a_person_told_is_shown_on_the_incident_and_found_again(
    writer: FlaskClient, sent: Sent, session: Session
) -> None:
    incident = past(writer, session, "HighLatency", "checkout")
    other = past(writer, session, "DiskFull", "mailer")
    before = metrics.causes_confirmed.labels("unranked")._value.get()
    judge(writer, analysis_of(session, incident).id, helpful=False, root_cause="The pool of orders-db was too small")
    judge(writer, analysis_of(session, other).id, root_cause="Nobody rotated the logs")
    assert metrics.causes_confirmed.labels("unranked")._value.get() == before + 2
    told = writer.get(f"/api/v1/incidents/{incident.id}").get_json()
    assert told["confirmed_cause"] == "The pool of orders-db was too small"
    assert told["confirmed_by"].startswith("key:")
    assert [entry["note"] for entry in told["timeline"] if entry["change"] == "cause_confirmed"] == [
        "The pool of orders-db was too small"
    ]
    assert [each["helpful"] for each in told["feedback"]] == [False]

    fire(writer, "HighLatency", "checkout")
    found = evidence_of(session, settled(session), "similar_incident")
    assert [item["facts"]["id"] for item in found] == [incident.id]
    assert "The pool of orders-db was too small" in found[0]["summary"]
    assert found[0]["weight"] > 0.5


def test_the_same_judgement_twice_is_one_entry_of_the_timeline(
    writer: FlaskClient, sent: Sent, session: Session
) -> None:
    incident = past(writer, session, "HighLatency", "checkout")
    for _ in range(2):
        judge(writer, analysis_of(session, incident).id, root_cause="The disk")
    entries = select(func.count(IncidentHistory.id)).where(IncidentHistory.change == "cause_confirmed")
    assert session.scalar(entries) == 1


def test_what_a_model_said_is_found_until_people_say_that_it_was_wrong(
    writer: FlaskClient, sent: Sent, session: Session
) -> None:
    incident = past(writer, session, "HighLatency", "checkout")
    said = {"root_cause": "orders-db ran out of connections", "evidence": []}
    row = analysis_of(session, incident)
    session.execute(
        update(AnalysisResult)
        .where(AnalysisResult.id == row.id)
        .values(outcome="model", status="done", analysis_data=said, confidence_score=0.7)
    )
    fire(writer, "HighLatency", "checkout", minutes=60)
    (found,) = evidence_of(session, settled(session), "similar_incident")
    assert "orders-db ran out of connections" in found["summary"]

    judge(writer, row.id, helpful=False)
    fire(writer, "HighLatency", "checkout", minutes=1, generatorURL="http://other:9090/graph")
    fire(writer, "TooManyErrors", "checkout", minutes=1)
    assert evidence_of(session, settled(session), "similar_incident") == []


def test_another_alert_of_another_service_is_not_alike(writer: FlaskClient, sent: Sent, session: Session) -> None:
    incident = past(writer, session, "DiskFull", "mailer")
    judge(writer, analysis_of(session, incident).id, root_cause="Nobody rotated the logs")
    fire(writer, "HighLatency", "checkout")
    assert evidence_of(session, settled(session), "similar_incident") == []


# Runbooks.


def read(change: Change, folder: Path | None) -> None:
    from tasks.runbooks import synchronise

    change(runbooks=folder)
    synchronise()


def files(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text, "utf-8")


def headings(session: Session) -> list[str]:
    session.expire_all()
    return list(session.scalars(select(RunbookSection.heading).order_by(RunbookSection.path, RunbookSection.position)))


def test_the_table_follows_the_folder(session: Session, change: Change, tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    (tmp_path / ".git").mkdir()
    files(tmp_path, a="# One\nfirst\n# Two\nsecond", empty="")
    files(tmp_path / "team", b="# Three\nthird")
    files(tmp_path / ".git", c="# Hidden")
    (tmp_path / "image.png").write_bytes(b"# no runbook")
    (tmp_path / "outside.md").symlink_to("/etc/passwd")
    read(change, tmp_path)
    assert headings(session) == ["One", "Two", "empty", "Three"]
    kept = session.scalars(select(RunbookSection.id).where(RunbookSection.path == "team/b.md")).one()

    files(tmp_path, a="# One\nfirst, mended")
    (tmp_path / "empty.md").unlink()
    read(change, tmp_path)
    assert headings(session) == ["One", "Three"]
    assert session.scalars(select(RunbookSection.id).where(RunbookSection.path == "team/b.md")).one() == kept

    read(change, tmp_path / "not mounted")
    assert headings(session) == ["One", "Three"], "a folder that is away has not lost its files"
    read(change, None)
    assert headings(session) == []


def test_a_file_of_any_bytes_is_read(session: Session, change: Change, tmp_path: Path) -> None:
    (tmp_path / "odd.md").write_bytes(b"# Caf\xe9 \x00\ntext\xff")
    (tmp_path / "large.md").write_bytes(b"# Large\n" + b"word " * 400_000)
    read(change, tmp_path)
    assert headings(session) == ["Large", "Caf\ufffd"]


@pytest.fixture
def books(change: Change, tmp_path: Path, session: Session) -> Path:
    files(
        tmp_path,
        checkout="# Checkout\nOwned by shop.\n## Pool exhausted\nRaise the pool of orders-db.\n## Other\nNothing.",
        latency="# High latency\nLook at the database first.",
        mail="# Mails lost\nRestart the mailer.",
    )
    read(change, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("annotations", "first"),
    [
        ({"summary": "p99 of checkout"}, "High latency"),
        ({"runbook_url": "https://wiki.example.org/checkout.md#pool-exhausted"}, "Pool exhausted"),
    ],
)
def test_the_section_that_is_linked_or_called_like_the_alert_comes_first(
    writer: FlaskClient, sent: Sent, session: Session, books: Path, annotations: dict[str, str], first: str
) -> None:
    fire(writer, "HighLatency", "checkout", annotations=annotations)
    incident = settled(session)
    found = evidence_of(session, incident, "runbook")
    assert found[0]["facts"]["heading"] == first
    assert found[0]["at"] is None
    assert "Mails lost" not in [item["facts"]["heading"] for item in found]
    row = analysis_of(session, incident)
    assert first not in row.analysis_data["root_cause"], "what to do is no cause"
    assert f'Read the runbook in {found[0]["id"]}: "{first}"' in row.analysis_data["mitigation"]


def test_a_runbook_alone_makes_nothing_surer(writer: FlaskClient, sent: Sent, session: Session, books: Path) -> None:
    fire(writer, "HighLatency", "checkout")
    incident = settled(session)
    assert evidence_of(session, incident, "runbook")
    assert analysis_of(session, incident).confidence_score == 0.05


# By their meaning, with a model that makes vectors.


@pytest.fixture
def model(change: Change) -> Iterator[OllamaServer]:
    with OllamaServer(models=("llama2", "nomic-embed-text"), embedding=("nomic-embed-text",)) as server:
        change(ollama_url=server.url, embed_model="nomic-embed-text")
        yield server


def vectors(session: Session) -> int:
    return session.scalar(select(func.count(RunbookSection.id)).where(RunbookSection.embedding.is_not(None))) or 0


def test_each_section_and_each_incident_that_is_over_gets_a_vector_once(
    writer: FlaskClient, sent: Sent, session: Session, change: Change, tmp_path: Path, model: OllamaServer
) -> None:
    past(writer, session, "HighLatency", "checkout")
    files(tmp_path, a="# One\nfirst\n# Two\nsecond", b="")
    read(change, tmp_path)
    assert vectors(session) == 3
    made = session.execute(select(Incident.embedded_by, func.length(Incident.embedding))).one()
    assert tuple(made) == ("nomic-embed-text", 4 * 64)
    asked = len(model.embedded)
    read(change, tmp_path)
    assert len(model.embedded) == asked, "what has a vector is not sent again"
    files(tmp_path, a="# One\nfirst, mended")
    read(change, tmp_path)
    assert vectors(session) == 2


def test_what_is_near_by_its_meaning_weighs_more(
    writer: FlaskClient, sent: Sent, session: Session, change: Change, tmp_path: Path, model: OllamaServer
) -> None:
    # Full-text search leaves the small words out, on which the stand-in's vectors go as well as on all others.
    files(tmp_path, a="# Basket\nwhat it is that was there and is not", b="# Other\nlogs of the mailer")
    read(change, tmp_path)
    said = {"summary": "what it is that was there and is not, of the basket"}
    fire(writer, "Sluggish", "shop", annotations=said)
    by_meaning = evidence_of(session, settled(session), "runbook")
    change(embed_model=None)
    fire(writer, "Sluggish", "store", annotations=said)
    by_words = evidence_of(session, settled(session), "runbook")
    weights = [{item["facts"]["heading"]: item["weight"] for item in found} for found in (by_meaning, by_words)]
    assert weights[0]["Basket"] > weights[1].get("Basket", 0.0)


def test_without_the_model_there_is_all_but_the_meaning(
    writer: FlaskClient, sent: Sent, session: Session, books: Path, change: Change, model: OllamaServer
) -> None:
    change(embed_model="not-installed")
    read(change, books)
    assert vectors(session) == 0
    fire(writer, "HighLatency", "checkout")
    found = evidence_of(session, settled(session), "runbook")
    assert found[0]["facts"]["heading"] == "High latency"
