"""Ids of traces follow from ids of requests."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from sensus import logs
from sensus.spans import Spans, span_id_of, trace_id_of

request_ids = st.from_regex(re.compile(r"[A-Za-z0-9._-]{1,64}"), fullmatch=True)


@given(request_ids)
def test_every_sane_request_id_makes_ids_that_are_valid_and_always_the_same(request_id: str) -> None:
    assert 0 < trace_id_of(request_id) < 2**128
    assert 0 < span_id_of(request_id) < 2**64
    assert (trace_id_of(request_id), span_id_of(request_id)) == (trace_id_of(request_id), span_id_of(request_id))


@given(request_ids, request_ids)
def test_two_requests_have_two_traces(one: str, other: str) -> None:
    if one != other:
        assert trace_id_of(one) != trace_id_of(other)
        assert span_id_of(one) != span_id_of(other)


def test_an_id_of_ours_is_the_id_of_the_trace() -> None:
    request_id = logs.new_request_id()
    assert f"{trace_id_of(request_id):032x}" == request_id
    assert trace_id_of("0" * 32) != 0


def test_a_collector_that_is_away_holds_nobody_up() -> None:
    spans = Spans("http://127.0.0.1:9", "a test")
    running = spans.begin_request("GET /", "an-id", None, {})
    with spans.call("a server", {}, {"seen": True}):
        spans.note_statement("select", "SELECT 1", 0.001)
    running.end(failed="it did")
    spans.close()
