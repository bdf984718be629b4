"""Whatever the model server does, an honest analysis of the incident is stored, and no task hangs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from sensus import times
from sensus.settings import Settings
from tests.integration.tasks.made import add_alert, add_change
from tests.integration.tasks.test_analysis import analyse, of_incident, stored
from tests.ollama_server import PLAYS, OllamaServer
from tests.unit.llm.cases import PLANTED

# Each play that never ends takes the whole of it.
DEADLINE_S = 1.0


@pytest.mark.timeout(60)
@pytest.mark.parametrize("play", sorted(PLAYS))
def test_each_behaviour_ends_in_a_stored_and_honest_analysis(
    worker: Settings, change: Callable[..., None], session: Session, play: str
) -> None:
    start = times.now() - timedelta(minutes=10)
    alert = add_alert(session, starts_at=start, annotations={"summary": "checkout is slow", "description": PLANTED})
    add_change(session, "Deploy checkout 2.4.1", at=start - timedelta(minutes=7), service="checkout")
    waiting = of_incident(session, alert)
    with OllamaServer(play=play) as model:
        change(ollama_url=model.url, llm_deadline_s=DEADLINE_S)
        analyse(waiting)
    row = stored(session, waiting)
    said = " ".join(str(row.analysis_data[part]) for part in ("root_cause", "mitigation", "analysis"))
    assert row.status == "done"
    assert row.claimed_by is None
    assert row.analysis_data["root_cause"]
    assert row.analysis_data["mitigation"]
    assert set(row.analysis_data["cited"]) <= {item["id"] for item in row.analysis_data["evidence"]}
    assert row.confidence_score is not None
    for never in ("rm -rf", "billing-gateway", "E97"):
        assert never not in said
    if row.outcome == "evidence_only":
        assert row.analysis_data["reason"]
        assert row.model_name is None
        assert "Deploy checkout 2.4.1" in said
    else:
        assert row.outcome in ("model", "insufficient")
        assert row.model_name == "llama2:latest"
