"""A model's text becomes an answer that the evidence bears, or a clear refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm.errors import ReplyUnusable
from llm.reply import MAX_ANALYSIS, MAX_MITIGATION, MAX_ROOT_CAUSE, Answer, read
from tests.unit.llm import cases

GOOD: dict[str, Any] = {
    "analysis": "The deploy came five minutes before the alert (E2). The connections rose after it (E3).",
    "evidence": ["E2", "E3"],
    "cause_kind": "change",
    "root_cause": "Deploy checkout v42 exhausted the connection pool of checkout.",
    "mitigation": "Compare v42 with the version before. Watch the connection pool of checkout.",
}


def good(**fields: Any) -> str:
    return json.dumps(GOOD | fields)


def read_usual(text: str, **options: Any) -> Answer:
    return read(text, cases.case(), **options)


def refusal(text: str, **options: Any) -> str:
    with pytest.raises(ReplyUnusable) as caught:
        read_usual(text, **options)
    return caught.value.why


def test_a_good_answer_is_taken_as_it_is() -> None:
    answer = read_usual(good())
    assert answer == Answer(
        root_cause=GOOD["root_cause"],
        mitigation=GOOD["mitigation"],
        analysis=GOOD["analysis"],
        service="checkout",
        cited=("E2", "E3"),
        cause_kind="change",
        withheld=False,
    )


@pytest.mark.parametrize(
    "wrapped",
    [
        "```json\n{}\n```",
        "Sure! Here it is:\n{}\nHope {{this}} helps.",
        '<think>{{"root_cause": "a thought"}}</think>\n{}',
        '{{"note": 1}} {}',
        "[{}]",
        "\ufeff  {}  ",
    ],
)
def test_what_stands_around_the_json_is_passed_over(wrapped: str) -> None:
    assert read_usual(wrapped.replace("{}", good(), 1).replace("{{", "{").replace("}}", "}")).cited == ("E2", "E3")


DRAFT = good(root_cause="The network of checkout, as drafted.")


@pytest.mark.parametrize(
    "text",
    [
        # Templates of reasoning models open the thought themselves, so that the model only closes it.
        f"Let me draft: {DRAFT}\nNo, wrong.</think>\n{good()}",
        f"{DRAFT}</thinking>{good()}",
        f"{DRAFT}</THINK>\n```json\n{good()}\n```",
        f"{DRAFT}</think>{DRAFT}</think>{good()}",
        f"<think>{DRAFT}</think>{good()}",
        f"<think>a{DRAFT}<think>b</think>{good()}",
        f"{DRAFT}\nNo, wrong:\n{good()}",
        f"{good()}<think>{DRAFT}",
        f"{good()}<think>{DRAFT}</think>",
        f"{DRAFT}</think>{good()}<think>{DRAFT}</think>",
    ],
)
def test_an_answer_is_what_was_said_last_and_no_draft(text: str) -> None:
    assert read_usual(text).root_cause == GOOD["root_cause"]


def test_a_thought_without_an_answer_is_none() -> None:
    assert "not a JSON object" in refusal(f"{DRAFT}</think>\nI can't tell.")


def test_a_thought_that_is_longer_than_an_answer_may_be_hides_none() -> None:
    assert read_usual(f"{'Hm. ' * 20_000}</think>{good()}").root_cause == GOOD["root_cause"]


def test_raw_line_breaks_and_tabs_inside_strings_are_read() -> None:
    text = good(analysis="first@second#third").replace("@", "\n").replace("#", "\t")
    assert read_usual(text).analysis == "first\nsecond third"


def test_unknown_keys_are_ignored() -> None:
    assert read_usual(good(confidence=1.0, steps=[1])).root_cause == GOOD["root_cause"]


def test_a_list_of_steps_is_a_text_and_a_text_of_ids_a_list() -> None:
    answer = read_usual(good(mitigation=["Look at v42.", "Compare it."], evidence="E2, [e3]"))
    assert answer.mitigation == "Look at v42.\nCompare it."
    assert answer.cited == ("E2", "E3")
    assert read_usual(good(evidence=[{"id": "E3", "why": "it rose"}])).cited == ("E3",)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("   \n", "empty"),
        ("I can't tell.", "not a JSON object"),
        ("[1, 2]", "not a JSON object"),
        ("{}", "none of the fields"),
        ('{"answer": 42}', "none of the fields"),
        ("{root_cause: none}", "not a JSON object"),
        (good()[:-30], "cut off"),
        (good(root_cause=["a", 1]), "root_cause"),
        (good(root_cause=12, evidence=7), "evidence, root_cause"),
        (good(evidence=[1, 2]), "evidence"),
        (json.dumps({"mitigation": "x"}), "root_cause"),
    ],
)
def test_what_is_no_answer_is_refused_with_the_reason(text: str, why: str) -> None:
    assert why in refusal(text)


def test_an_answer_that_cites_nothing_is_refused() -> None:
    assert "cites no evidence" in refusal(good(evidence=[], analysis="It is so.", root_cause="It just is so."))


def test_evidence_whose_words_the_root_cause_uses_counts_as_cited() -> None:
    assert read_usual(good(evidence=[], analysis="It is so.")).cited == ("E2", "E3")


def test_evidence_named_in_the_prose_counts_as_cited() -> None:
    assert read_usual(good(evidence=[])).cited == ("E2", "E3")


def test_an_answer_that_rests_on_invented_evidence_only_is_refused() -> None:
    assert "E97" in refusal(good(evidence=["E97"]))


def test_claims_that_rest_on_invented_evidence_are_taken_out() -> None:
    answer = read_usual(good(evidence=["E2", "E97"], analysis="The deploy fits (E2). The disk is full (E97)."))
    assert answer.cited == ("E2",)
    assert answer.analysis == "The deploy fits (E2)."
    assert answer.withheld


def test_a_root_cause_that_rests_on_invented_evidence_is_refused() -> None:
    assert "does not exist" in refusal(good(root_cause="As E97 shows, the disk is full."))


def test_a_number_that_the_alert_itself_uses_is_no_invented_evidence() -> None:
    case = cases.case(annotations={"summary": "checkout fails with code E42"})
    answer = read(good(root_cause="Deploy v42 makes checkout fail with E42."), case)
    assert not answer.withheld


def test_a_service_that_no_evidence_names_is_refused() -> None:
    assert "billing-gateway-7" in refusal(good(root_cause="The service billing-gateway-7 ran out of connections."))
    assert "billing" in refusal(good(root_cause="The billing service ran out of connections."))


def test_a_sentence_about_a_service_that_no_evidence_names_is_taken_out() -> None:
    answer = read_usual(good(analysis="The deploy fits. The payments-db-3 host was down too."))
    assert answer.analysis == "The deploy fits."
    assert answer.withheld


@pytest.mark.parametrize(
    "fields", [{"cause_kind": "unknown"}, {"root_cause": "Unknown."}, {"root_cause": "cannot be determined from this"}]
)
def test_a_model_may_say_that_it_does_not_know(fields: dict[str, str]) -> None:
    answer = read_usual(good(**({"evidence": []} | fields)))
    assert answer.is_unknown
    assert answer.root_cause == ""


def test_none_of_the_replicas_is_a_cause_and_not_a_shrug() -> None:
    assert not read_usual(good(root_cause="None of the replicas of checkout has a free connection.")).is_unknown


def test_no_text_is_longer_than_its_bound() -> None:
    long = "word " * 1500
    answer = read_usual(good(root_cause=long, mitigation=long, analysis=long))
    assert len(answer.root_cause) <= MAX_ROOT_CAUSE
    assert len(answer.mitigation) <= MAX_MITIGATION
    assert len(answer.analysis) <= MAX_ANALYSIS


def test_hidden_characters_are_taken_out() -> None:
    answer = read_usual(good(root_cause="Deploy\u202e v42\x1b[31m of\u200b checkout\x07"))
    assert answer.root_cause == "Deploy v42 [31m of checkout"


def test_deep_nesting_and_thousands_of_braces_are_refused_quickly() -> None:
    assert refusal("{" * 30_000)
    assert refusal('{"a":' * 6_000)
    assert refusal("[" * 30_000 + "{")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | cases.texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
fields = st.fixed_dictionaries(
    {},
    optional={
        name: json_values | st.sampled_from(["E1", ["E1", "E5"], ["E2"], "unknown", "Deploy v42."])
        for name in ("root_cause", "mitigation", "analysis", "evidence", "cause_kind", "extra")
    },
)


@settings(max_examples=150, deadline=None)
@given(
    fields.map(json.dumps)
    | cases.texts
    | st.builds(lambda fields, cut: json.dumps(fields)[:cut], fields, st.integers(0, 200))
)
@example("null")
@example('{"root_cause": 1e999}')
@example('{"root_cause": ' + "9" * 5000 + "}")
def test_whatever_a_model_writes_is_an_answer_on_existing_evidence_or_a_refusal(text: str) -> None:
    refused: str | None = None
    answer: Answer | None = None
    try:
        answer = read_usual(text)
    except ReplyUnusable as error:
        refused = str(error)
    if answer is None:
        assert refused
        assert "\n" not in refused
    else:
        assert set(answer.cited) <= {"E1", "E2", "E3", "E4"}
        assert answer.is_unknown or (answer.root_cause and answer.cited)
