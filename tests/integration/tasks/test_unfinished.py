"""How long samples have waited to be scored is told rightly, whatever comes meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta

import hypothesis
import hypothesis.strategies as st
from hypothesis import given
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from db.models import SeriesProgress
from db.queries import arrivals, progress, unfinished
from db.queries.progress import Scored
from db.session import Database
from sensus import times
from tests.integration.tasks.conftest import Put

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


def note(database: Database) -> None:
    arrivals.all_notes(database.transaction)


def score(database: Database, *, until: datetime | None = None) -> None:
    """What a scorer does to the progress of the one series, as far as `until`."""
    with database.transaction() as scoring:
        claims = progress.claim(scoring, [], limit=1, lease_s=60)
        samples = progress.unscored_samples(scoring, claims, limit=1_000)
        for claim in claims:
            end = min(until or claim.until, claim.until)
            read = sum(at <= end for at, _ in samples[claim.series_id])
            if read == 0:
                progress.give_back(scoring, [claim], failed=False)
                continue
            scored = Scored(claim, end, read, (), (), None, None)
            assert progress.keep(scoring, [scored], model_version_id=1, algorithm="x").kept == {claim.series_id}


def age_s(database: Database) -> float:
    with database.transaction() as looking:
        return unfinished.waiting(looking)["series"].oldest_s


def hour_passes(session: Session) -> None:
    """As far as the database can tell of what waits."""
    session.execute(text("UPDATE series_progress SET unscored_since = unscored_since - interval '1 hour'"))


def test_samples_wait_the_longer_the_longer_nobody_scores_although_new_ones_keep_coming(
    database: Database, put: Put
) -> None:
    start, ages = times.now(), []
    for number in range(3):
        put([(start + number * SECOND, 1.0)])
        note(database)
        ages.append(age_s(database))
    assert 0 < ages[0] < ages[1] < ages[2]


def test_samples_wait_from_when_they_are_stored_not_from_when_they_are_noted(
    database: Database, session: Session, put: Put
) -> None:
    put([(times.now() - SECOND, 1.0)])
    note(database)
    score(database)
    put([(times.now(), 1.0)])
    session.execute(text("UPDATE sample_arrivals SET stored_at = stored_at - interval '1 hour'"))
    note(database)
    assert 3600 <= age_s(database) < 3660


def test_nothing_waits_when_all_is_scored_and_what_comes_then_waits_anew(
    database: Database, session: Session, put: Put
) -> None:
    start = times.now()
    put([(start - 2 * SECOND, 1.0)])
    note(database)
    hour_passes(session)
    score(database)
    assert age_s(database) == 0
    put([(start - SECOND, 1.0)])
    note(database)
    assert 0 < age_s(database) < 60
    put([(start - 2 * HOUR, 1.0)])  # too late to be scored
    score(database)
    note(database)
    assert age_s(database) == 0


def test_of_a_feed_that_is_scored_in_part_what_is_left_is_younger_than_what_is_scored(
    database: Database, session: Session, put: Put
) -> None:
    now = times.now()
    put([(now - age, 1.0) for age in (3 * HOUR, HOUR / 60, SECOND)])
    note(database)
    hour_passes(session)
    score(database, until=now - HOUR / 60)
    assert 60 <= age_s(database) < 120


def test_a_backlog_of_old_samples_that_is_scored_in_part_has_waited_since_it_came(
    database: Database, session: Session, put: Put
) -> None:
    now = times.now()
    put([(now - days * 24 * HOUR, 1.0) for days in range(9, 0, -1)])
    note(database)
    hour_passes(session)
    score(database, until=now - 5 * 24 * HOUR)
    assert 3600 <= age_s(database) < 3660


@given(data=st.data())
@hypothesis.settings(
    max_examples=15, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_only_scoring_makes_the_oldest_sample_that_waits_a_younger_one(
    database: Database, session: Session, put: Put, data: st.DataObject
) -> None:
    session.execute(text("TRUNCATE series, series_progress, samples, sample_arrivals RESTART IDENTITY CASCADE"))
    moments = [times.now() + number * 60 * SECOND for number in range(-7, 8)]
    put([(moments[0], 1.0)])
    waited: datetime | None = None
    for act in data.draw(st.lists(st.sampled_from(["put", "note", "score"]), min_size=3, max_size=10)):
        if act == "put":
            put([(at, 1.0) for at in data.draw(st.sets(st.sampled_from(moments), min_size=1, max_size=4))])
        elif act == "note":
            note(database)
        else:
            score(database, until=data.draw(st.sampled_from([None, *moments])))
        there = session.scalars(select(SeriesProgress), execution_options={"populate_existing": True}).one()
        if there.scored_until is not None and there.newest_at <= there.scored_until:
            waited = None
            continue
        assert there.unscored_since <= times.now()
        if waited is not None:
            assert there.unscored_since == waited or (act == "score" and there.unscored_since > waited)
        waited = there.unscored_since
