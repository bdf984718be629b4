"""Is what the model wrote an answer, and which of it can be believed?"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, StrictStr, ValidationError

from llm.culprits import NOBODY, blamable, service_of
from llm.errors import ReplyUnusable
from llm.evidence import Case
from llm.names import evidence_text, invented
from llm.places import normal
from llm.planted import Orders, orders_in, telling_words, unfit
from llm.prompt import CAUSE_KINDS
from llm.wording import clipped

UNKNOWN = "unknown"
MAX_ROOT_CAUSE, MAX_MITIGATION, MAX_ANALYSIS = 500, 1500, 3000
_MOST_TEXT = 32_000
_MOST_STARTS = 40
_MOST_CITED = 10
_WORDS_OF_AN_ITEM = 2

_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
# The template of a reasoning model may open the thought, so that the model's own text only ends it.
_END_OF_A_THOUGHT = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_ID = re.compile(r"\bE(\d{1,3})\b")
_NO_CAUSE = re.compile(
    r"\W*(?:the )?(?:root )?(?:cause )?(?:is |of the alert is )?"
    r"(?:unknown|unclear|undetermined|n/?a|none|not known|not clear|(?:can ?not|could not) be determined|"
    r"insufficient (?:evidence|data|information))(?:\W*|[,.;:(].{0,200}| (?:from|because|at|with|based|to) .{0,200})",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is left of a model's answer after the checks; a text of which nothing was left is empty."""

    root_cause: str
    mitigation: str
    analysis: str
    service: str | None  # the cause: one that the evidence names; None when it is none of them
    cited: tuple[str, ...]  # ids of evidence; each exists in the case
    cause_kind: str
    withheld: bool  # part of it repeated what the alert's own text orders, or named what is not there

    @property
    def is_unknown(self) -> bool:
        """The model says that the evidence doesn't show a cause."""
        return self.cause_kind == UNKNOWN


def read(text: str, case: Case, *, done_reason: str = "stop") -> Answer:
    """The answer in a model's text, checked against the case it is about.

    Thoughts, fences and prose around the JSON are passed over. Raises ReplyUnusable when there is no JSON object,
    when it is cut off or of the wrong types, when all evidence it cites is invented or none is cited, when it blames
    or its root cause names something that the evidence doesn't, or when it is made of an order that was planted in the
    data.
    """
    raw = _validated(_json_object(text, done_reason))
    cited, unknown_ids = _cited(raw, case)
    if unknown_ids and not cited:
        raise ReplyUnusable(f"it cites {', '.join(unknown_ids[:3])}, which is not among the evidence")
    service = _blamed(raw, case, cited)
    evidence, orders = evidence_text(case), orders_in(case)

    def believable(sentence: str, *, is_advice: bool) -> bool:
        return not (
            any(name in unknown_ids for name in _ids(sentence))
            or unfit(sentence, orders, is_advice=is_advice)
            or invented(sentence, evidence)
        )

    is_unknown = raw.cause_kind == UNKNOWN or bool(_NO_CAUSE.fullmatch(raw.root_cause.strip())) or not raw.root_cause
    root_cause = _clean(raw.root_cause, MAX_ROOT_CAUSE)
    if not is_unknown:
        _refuse_unfounded(root_cause, evidence, orders, unknown_ids)
        if not cited:
            raise ReplyUnusable("it cites no evidence")
    mitigation = _kept(_clean(raw.mitigation, MAX_MITIGATION), lambda it: believable(it, is_advice=True))
    analysis = _kept(_clean(raw.analysis, MAX_ANALYSIS), lambda it: believable(it, is_advice=False))
    return Answer(
        root_cause="" if is_unknown else root_cause,
        service=None if is_unknown else service,
        mitigation=mitigation.text,
        analysis=analysis.text,
        cited=cited,
        cause_kind=UNKNOWN if is_unknown else raw.cause_kind,
        withheld=mitigation.lost or analysis.lost or bool(unknown_ids),
    )


def _blamed(raw: _Raw, case: Case, cited: tuple[str, ...]) -> str | None:
    """The service that the answer blames: as it says, else the one that its root cause speaks of."""
    names = blamable(case)
    if raw.service.strip():
        told = normal(raw.service.strip(" \"'`."))
        if told in (NOBODY, "none", "n/a"):
            return None
        if told not in names:
            raise ReplyUnusable(f"it blames {clipped(raw.service, 60)!r}, which is no suspect and not in the evidence")
        return told
    words = f" {re.sub(r'[^a-z0-9._-]+', ' ', raw.root_cause.lower())} "
    spoken = next((name for name in names if f" {name} " in words), None)
    about = (service_of(item) for evidence_id in cited if (item := case.item(evidence_id)) is not None)
    return spoken or next((name for name in about if name in names), None)


def _refuse_unfounded(root_cause: str, evidence: str, orders: Orders, unknown_ids: tuple[str, ...]) -> None:
    if any(name in unknown_ids for name in _ids(root_cause)):
        raise ReplyUnusable("its root cause rests on evidence that does not exist")
    if any(unfit(sentence, orders, is_advice=False) for sentence in _sentences(root_cause)):
        raise ReplyUnusable(
            "its root cause repeats an instruction, an address or a text in another language instead of explaining"
        )
    names = invented(root_cause, evidence)
    if names:
        raise ReplyUnusable(f"it blames {clipped(names[0], 60)!r}, which the evidence does not mention")


def _json_object(text: str, done_reason: str) -> dict[str, object]:
    """The object in the text that looks most like an answer; of several alike the last, since models draft first."""
    if not text.strip():
        raise ReplyUnusable("it is empty")
    bare = _END_OF_A_THOUGHT.split(_THOUGHT.sub(" ", text))[-1][:_MOST_TEXT]
    # strict=False lets raw line breaks and tabs inside strings pass, which real models write.
    decoder = json.JSONDecoder(strict=False)
    best: dict[str, object] | None = None
    place, starts = bare.find("{"), 0
    while place >= 0 and starts < _MOST_STARTS:
        starts += 1
        end = place + 1
        try:
            found, end = decoder.raw_decode(bare, place)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and (best is None or _likeness(found) >= _likeness(best)):
            best = found
        place = bare.find("{", end)
    if best is not None and _likeness(best):
        return best
    if done_reason == "length" or (best is None and bare.count("{") > bare.count("}")):
        raise ReplyUnusable("it is cut off before its end")
    raise ReplyUnusable("it is not a JSON object" if best is None else "it has none of the fields that were asked for")


def _likeness(found: dict[str, object]) -> int:
    return len(found.keys() & _Raw.model_fields.keys())


def _joined(value: object) -> object:
    """Models like to write a list of steps where one text is asked for."""
    if isinstance(value, list) and value and all(isinstance(step, str) for step in value):
        return "\n".join(value)
    return "" if value is None else value


def _listed(value: object) -> object:
    """`"E1, E2"` and `[{"id": "E1"}]` mean what `["E1", "E2"]` means."""
    if isinstance(value, str):
        return [f"E{digits}" for digits in _ID.findall(value.upper())]
    if isinstance(value, list):
        return [item.get("id") if isinstance(item, dict) else item for item in value]
    return [] if value is None else value


def _known_kind(value: object) -> object:
    return value if value in CAUSE_KINDS or not isinstance(value, str) else "other"


_Text = Annotated[StrictStr, BeforeValidator(_joined)]


class _Raw(BaseModel):
    model_config = ConfigDict(extra="ignore")

    root_cause: _Text
    mitigation: _Text = ""
    analysis: _Text = ""
    evidence: Annotated[list[StrictStr], BeforeValidator(_listed)] = []
    cause_kind: Annotated[StrictStr, BeforeValidator(_known_kind)] = "other"
    service: _Text = ""


def _validated(found: dict[str, object]) -> _Raw:
    try:
        return _Raw.model_validate(found)
    except ValidationError as error:
        fields = sorted({str(problem["loc"][0]) for problem in error.errors(include_url=False, include_input=False)})
        raise ReplyUnusable(f"these fields are missing or of the wrong type: {', '.join(fields)}") from None


def _cited(raw: _Raw, case: Case) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ids it cites that exist, and those that don't."""
    names = [name.upper().strip(" []()\"'.,") for name in raw.evidence]
    if not names:
        names = list(_ids(f"{raw.root_cause} {raw.analysis}")) or _spoken_of(raw.root_cause, case)
    # "error E42" in the alert's own text is no id, so a number in the prose that the data has, is not held against it.
    data = evidence_text(case).upper()
    mentioned = (name for name in _ids(f"{raw.root_cause} {raw.mitigation} {raw.analysis}") if name not in data)
    existing = {item.id for item in case.evidence}
    cited = tuple(dict.fromkeys(name for name in names if name in existing))
    unknown = tuple(dict.fromkeys(name for name in (*names, *mentioned) if name not in existing))
    return cited[:_MOST_CITED], unknown


def _spoken_of(root_cause: str, case: Case) -> list[str]:
    """The evidence whose own words the root cause uses, for a model that explains well and cites nothing."""
    said = telling_words(root_cause)
    shared = {
        item.id: len(said & telling_words(" ".join((item.summary, *item.labels.values())))) for item in case.evidence
    }
    return sorted((name for name in shared if shared[name] >= _WORDS_OF_AN_ITEM), key=lambda name: -shared[name])[:3]


def _ids(text: str) -> Iterator[str]:
    return (match.group() for match in _ID.finditer(text))


@dataclass(frozen=True, slots=True)
class _Kept:
    text: str
    lost: bool


def _kept(text: str, believable: Callable[[str], bool]) -> _Kept:
    """The text without the sentences that can't be believed."""
    sentences = _sentences(text)
    good = [sentence for sentence in sentences if believable(sentence)]
    if len(good) == len(sentences):
        return _Kept(text, lost=False)
    # A step "1." whose sentence went is no sentence.
    return _Kept(" ".join(part for part in good if re.search(r"[^\W\d]", part)), lost=True)


def _sentences(text: str) -> list[str]:
    return [sentence for sentence in _SENTENCE_END.split(text) if sentence.strip()]


def _clean(text: str, most: int) -> str:
    """The text without control and invisible characters, at most `most` characters long."""
    visible = "".join(
        char if char == "\n" or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn"} else " "
        for char in text[: 4 * most]
    )
    lines = (re.sub(r"[^\S\n]+", " ", line).strip() for line in visible.split("\n"))
    return clipped(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip(), most)
