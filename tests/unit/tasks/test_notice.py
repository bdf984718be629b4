"""What people read of a finished analysis, and by which names their targets are known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from db.models.analysis import AnalysisResult
from db.models.incident import Incident
from db.queries.notifications import NotificationClaim
from sensus.settings import Settings
from sensus.targets import targets
from tasks.notice import Notice, key_of, notice_of

AT = datetime(2026, 11, 26, 2, 0, tzinfo=UTC)
URL = st.from_regex(r"(slack|mailto|json|https)://[a-z0-9@:/?&=,.+-]{1,30}[a-z0-9]", fullmatch=True).filter(
    lambda url: "://" not in url.partition("://")[2]
)


def claim(**changed: Any) -> NotificationClaim:
    given = {"id": 5, "incident_id": 12, "incident_state": 2, "target": "slack", "attempt": 1, "analysis_id": 7}
    return NotificationClaim(**{**given, "created_at": AT, **changed})


def incident(**changed: Any) -> Incident:
    given = {
        "id": 12, "title": "HighErrorRate on checkout", "severity": "critical", "status": "open", "state": 2,
        "opened_at": AT - timedelta(days=3), "active_since": AT, "services": ["checkout"],
        "suspects": [{"service": "payment", "confidence": 0.81}, {"service": "checkout", "confidence": 0.1}],
    }  # fmt: skip
    return Incident(**{**given, **changed})


def analysis(**changed: Any) -> AnalysisResult:
    data = {"root_cause": "payment is out of memory", "mitigation": "1. Look at payment.", "suspect": "payment"}
    given = {"outcome": "model", "model_name": "llama2", "confidence_score": 0.814, "analysis_data": data}
    return AnalysisResult(**{**given, **changed})


def told(of: Incident | None = None, said: AnalysisResult | None = None, **changed: Any) -> Notice:
    return notice_of(claim(**changed), of or incident(), said, people_url="http://sensus:8080")


def test_a_notice_reads_as_one_would_say_it() -> None:
    notice = told(said=analysis())
    assert notice.title == "[critical] HighErrorRate on checkout"
    assert notice.tone == "failure"
    assert notice.body == (
        "Cause: payment is out of memory\n"
        "Confidence: 81%, told by the model llama2\n\n"
        "Suspects: payment (81%), checkout (10%)\n\n"
        "First steps:\n1. Look at payment.\n\n"
        "Incident 12, state 2, since 2026-11-26 02:00 UTC\n"
        "http://sensus:8080/api/v1/incidents/12"
    )


def test_a_notice_says_what_has_changed_since_and_when_there_is_no_cause() -> None:
    late = told(incident(state=3, resolved_at=AT, severity=None, suspects=[]), None)
    assert "Confidence: 12% (weak evidence), told by" in told(said=analysis(confidence_score=0.12)).body
    assert late.title == "HighErrorRate on checkout"
    assert "No cause is known.\nConfidence: none, the analysis failed" in late.body
    assert (
        "state 2; by now it has changed, to state 3, since 2026-11-26 02:00 UTC, over since 2026-11-26 02:00 UTC"
        in (late.body)
    )


@pytest.mark.parametrize("word", ["@everyone", "@here", "<!channel>", "<@U123>", "@Channel"])
def test_words_of_labels_and_models_wake_nobody(word: str) -> None:
    notice = told(incident(title=f"Disk {word}"), analysis(analysis_data={"root_cause": word, "mitigation": word}))
    assert word not in notice.title + notice.body + str(notice.fields)


@settings(deadline=None)
@given(st.text(), st.text())
def test_any_text_becomes_a_short_title_of_one_line_and_a_bounded_body(title: str, cause: str) -> None:
    notice = told(incident(title=title), analysis(analysis_data={"root_cause": cause, "mitigation": cause}))
    assert "\n" not in notice.title
    assert len(notice.title) < 200
    assert len(notice.body) < 4000
    (notice.title + notice.body).encode()
    assert "\x00" not in notice.title + notice.body


def test_every_try_bears_the_same_mark_and_every_notification_another() -> None:
    assert key_of(claim(attempt=1)) == key_of(claim(attempt=9))
    others = [claim(), claim(id=6), claim(incident_state=3), claim(created_at=AT.replace(hour=3))]
    assert len({key_of(one) for one in others}) == 4


@settings(deadline=None)
@given(st.lists(URL, max_size=5), st.sampled_from([" ", ",", "\n", ", ", "  "]))
def test_urls_are_told_apart_whatever_is_between_them(urls: list[str], between: str) -> None:
    given = Settings(_env_file=None, notify_urls=SecretStr(between.join(urls)))
    assert given.notification_urls() == tuple(urls)
    names = [target.name for target in targets(urls)]
    assert len(set(names)) == len(urls)
    assert all(url not in repr(target) for url, target in zip(urls, targets(urls), strict=True))


def test_a_word_that_is_no_url_is_refused_without_being_repeated() -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(_env_file=None, notify_urls=SecretStr("very-secret-word"))
    assert "number 1 must be a URL" in str(refused.value)
    assert "very-secret-word" not in str(refused.value)
    assert Settings(_env_file=None, notify_urls=SecretStr(" ")).notification_urls() == ()


def test_the_link_leads_to_where_people_reach_it() -> None:
    assert Settings(_env_file=None).people_url() == "http://127.0.0.1:8080"
    assert Settings(_env_file=None, host="::", port=81).people_url() == "http://[::1]:81"
    assert (
        Settings(_env_file=None, public_url="https://sensus.example.org/").people_url() == "https://sensus.example.org"
    )
