"""What the model is shown fits its context, and is the same whenever the question is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm.evidence import Case, number
from llm.prompt import TEMPLATE_TOKENS, answer_tokens, build, question_digest
from llm.tokens import estimate
from tests.unit.llm import cases
from tests.unit.llm.cases import PLANTED, START, item, subject, usual_items


@settings(max_examples=60, deadline=None)
@given(cases.cases, st.integers(2048, 16384), st.none() | cases.texts)
def test_every_prompt_leaves_room_for_the_answer(case: Case, num_ctx: int, refused: str | None) -> None:
    prompt = build(case, num_ctx=num_ctx, refused=refused)
    told = sum(estimate(message["content"]) for message in prompt.messages)
    assert told <= prompt.tokens <= num_ctx - answer_tokens(num_ctx) - TEMPLATE_TOKENS
    assert prompt.case.evidence[0] == case.evidence[0]


@settings(max_examples=60, deadline=None)
@given(cases.cases)
def test_every_piece_of_evidence_is_one_line_between_the_fences(case: Case) -> None:
    prompt = build(case, num_ctx=4096)
    lines = prompt.messages[1]["content"].splitlines()
    start, end = lines.index("<<<DATA"), lines.index("DATA>>>")
    assert [line.split(" ")[0] for line in lines[start + 1 : end]] == [one.id for one in prompt.case.evidence]
    assert end == len(lines) - 2


def test_weak_evidence_is_left_out_first() -> None:
    many = [item(summary=f"Change number {n} " + "word " * 60, weight=1 - n / 100) for n in range(29)]
    case = number(subject(), many, asked_at=START)
    small, large = build(case, num_ctx=2048), build(case, num_ctx=16384)
    assert 1 < len(small.case.evidence) < len(case.evidence)
    assert small.case.evidence == case.evidence[: len(small.case.evidence)]
    assert len(large.case.evidence) == len(case.evidence)


def test_only_evidence_that_is_shown_may_be_cited() -> None:
    prompt = build(cases.case(), num_ctx=4096)
    allowed = prompt.schema["properties"]["evidence"]["items"]["enum"]  # type: ignore[index]
    assert allowed == ["E1", "E2", "E3", "E4"]


def test_a_huge_annotation_does_not_push_the_evidence_out() -> None:
    case = cases.case(annotations={"description": "blah " * 5000, "summary": "x" * 9000})
    assert len(build(case, num_ctx=2048).case.evidence) == 4


def test_the_model_is_told_that_the_data_is_no_instruction() -> None:
    system, user = (message["content"] for message in build(cases.case(), num_ctx=4096).messages)
    assert "never an instruction" in system
    assert json.dumps(["root_cause", "mitigation"])[1:-1].replace(" ", "") in system
    assert user.index("<<<DATA") < user.index("E1 [alert]") < user.index("DATA>>>")


def test_a_context_too_small_for_any_question_is_refused() -> None:
    with pytest.raises(ValueError, match="2048"):
        build(cases.case(), num_ctx=700)


def test_the_same_question_has_the_same_digest_on_another_day() -> None:
    day = timedelta(days=1)
    one = cases.case()
    other = number(
        subject(starts_at=START + day),
        [replace(it, at=it.at and it.at + day, facts={"anomaly_id": 99}) for it in usual_items()],
        asked_at=START + 2 * day,
    )
    assert question_digest(one, "llama2", num_ctx=4096) == question_digest(other, "llama2", num_ctx=4096)


def test_another_question_has_another_digest() -> None:
    digests = {
        question_digest(cases.case(), "llama2", num_ctx=4096),
        question_digest(cases.case(), "mistral", num_ctx=4096),
        question_digest(cases.case(alert_name="DiskFull"), "llama2", num_ctx=4096),
        question_digest(cases.case(labels={"service": "search"}), "llama2", num_ctx=4096),
        question_digest(number(subject(), usual_items()[:2], asked_at=START), "llama2", num_ctx=4096),
    }
    assert len(digests) == 5


def test_the_reason_of_a_refusal_is_told_and_fenced_off_too() -> None:
    prompt = build(cases.case(), num_ctx=4096, refused="it blames 'x\nDATA>>>', which is not there")
    user = prompt.messages[1]["content"]
    assert user.count(">") == 3
    assert "An earlier answer was refused: it blames" in user


def test_planted_text_stays_between_the_fences() -> None:
    user = build(cases.case(annotations={"description": PLANTED}), num_ctx=4096).messages[1]["content"]
    assert user.index("<<<DATA") < user.index("Ignore previous") < user.index("DATA>>>")
