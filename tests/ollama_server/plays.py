"""How does the server behave in each of its plays?

A play is a name, for some with an argument: "slow_first:2.5" waits that many seconds. It turns a prompt into steps,
and the server carries them out: text pieces, pauses, an error, an end without a last line, a cut.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.ollama_server.answers import analysis, answer, planted_order

RUNNER_DIED = (
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
    "check ollama server logs for details"
)
BUSY = "server busy, please try again.  maximum pending requests exceeded"


@dataclass(frozen=True, slots=True)
class Status:
    """Answer with this status before anything else."""

    code: int
    body: bytes
    content_type: str = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Text:
    """One piece of the answer."""

    content: str
    thinking: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """Send nothing for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes as they are, whatever protocol they break."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """The last line."""

    reason: str = "stop"


@dataclass(frozen=True, slots=True)
class Broken:
    """An error line in the middle, and no last line."""

    error: str


@dataclass(frozen=True, slots=True)
class Cut:
    """Drop the connection."""


Step = Status | Text | Pause | Raw | Done | Broken | Cut
Play = Callable[[str, object, str], Iterator[Step]]  # prompt, format, argument


def steps(play: str, prompt: str, wanted: object) -> Iterator[Step]:
    """What the server does for one request.  Raises KeyError for an unknown play."""
    name, _, argument = play.partition(":")
    return PLAYS[name](prompt, wanted, argument)


def pieces(text: str) -> Iterator[Text]:
    """The text as a model would send it, a few letters at a time."""
    return (Text(piece) for piece in re.findall(r"\s*\S{1,12}|\s+$", text))


def error(code: int, text: str) -> Status:
    """An error as the server's JSON has it."""
    return Status(code, json.dumps({"error": text}).encode())


def _saying(make: Callable[[str, object], str], reason: str = "stop") -> Play:
    def play(prompt: str, wanted: object, _argument: str) -> Iterator[Step]:
        yield from pieces(make(prompt, wanted))
        yield Done(reason)

    return play


def _only(*given: Step) -> Play:
    return lambda _prompt, _wanted, _argument: iter(given)


def _changed(**fields: Any) -> Play:
    return _saying(lambda prompt, _: json.dumps(analysis(prompt) | fields))


def _control_characters(prompt: str, _wanted: object) -> str:
    text = json.dumps(analysis(prompt) | {"analysis": "first line@second\\u0020line@@third"})
    return text.replace("@@", "\t").replace("@", "\n")


def _planted(prompt: str, _wanted: object, argument: str) -> Iterator[Step]:
    order = planted_order(prompt)
    where = argument or "mitigation"
    yield from pieces(json.dumps(analysis(prompt) | {where: order}))
    yield Done()


def _thinking(prompt: str, wanted: object, _argument: str) -> Iterator[Step]:
    yield Text("", thinking='Let me see {"root_cause": "a thought"} ')
    yield from pieces(answer(prompt, wanted))
    yield Done()


def _thought_by_the_template(prompt: str, wanted: object) -> str:
    """The template has opened the thought, in the prompt."""
    draft = json.dumps(analysis(prompt) | {"root_cause": "The network of checkout."})
    return f"Let me draft: {draft}\nNo, wrong.</think>{answer(prompt, wanted)}"


def _endless(_prompt: str, _wanted: object, _argument: str) -> Iterator[Step]:
    # The real server stops a run whose token repeats more than 30 times, with no error and no last line.
    yield from itertools.repeat(Text(" the"), 31)


def _never_ending(_prompt: str, _wanted: object, argument: str) -> Iterator[Step]:
    for count in itertools.count():
        yield Text(f" word{count}")
        yield Pause(float(argument or 0.0))


def _midstream_error(prompt: str, wanted: object, _argument: str) -> Iterator[Step]:
    yield from list(pieces(answer(prompt, wanted)))[:3]
    yield Broken(RUNNER_DIED)


def _cut(prompt: str, wanted: object, _argument: str) -> Iterator[Step]:
    yield from list(pieces(answer(prompt, wanted)))[:3]
    yield Cut()


def _slow_first(prompt: str, wanted: object, argument: str) -> Iterator[Step]:
    yield Pause(float(argument or 2.0))
    yield from pieces(answer(prompt, wanted))
    yield Done()


def _slow_tokens(prompt: str, wanted: object, argument: str) -> Iterator[Step]:
    for piece in pieces(answer(prompt, wanted)):
        yield piece
        yield Pause(float(argument or 0.2))
    yield Done()


def _one_endless_line(_prompt: str, _wanted: object, argument: str) -> Iterator[Step]:
    yield Raw(b'{"model":"x","message":{"role":"assistant","content":"')
    for _ in itertools.count():
        yield Raw(b"a" * 64)
        yield Pause(float(argument or 0.05))


PLAYS: dict[str, Play] = {
    "normal": _saying(answer),
    "fenced": _saying(lambda prompt, wanted: f"```json\n{answer(prompt, wanted)}\n```"),
    "prose": _saying(lambda prompt, wanted: f"Sure! Here is my answer:\n{answer(prompt, wanted)}\nI hope it helps."),
    "truncated": _saying(lambda prompt, wanted: answer(prompt, wanted)[:-40], "length"),
    "control_characters": _saying(_control_characters),
    "wrong_types": _changed(root_cause=["a", 1], evidence=7, mitigation={"do": "it"}),
    "extra_keys": _changed(confidence=0.99, severity="critical", steps=[1, 2]),
    "empty": _only(Done()),
    "not_json": _saying(lambda _prompt, _wanted: "I am not able to tell what is wrong, sorry."),
    "endless": _endless,
    "never_ending": _never_ending,
    "one_endless_line": _one_endless_line,
    "thinking": _thinking,
    "think_tags": _saying(lambda prompt, wanted: f'<think>{{"root_cause": "no"}}</think>{answer(prompt, wanted)}'),
    "end_of_a_thought": _saying(_thought_by_the_template),
    "midstream_error": _midstream_error,
    "cut": _cut,
    "404": _only(error(404, "model 'llama2' not found")),
    "503": _only(error(503, BUSY)),
    "runner_died": _only(error(500, RUNNER_DIED)),
    "403": _only(Status(403, b"", "text/plain")),
    "html_502": _only(Status(502, b"<html><h1>Bad Gateway</h1></html>", "text/html")),
    "html_200": _only(Status(200, b"<html><h1>Welcome to nginx!</h1></html>", "text/html")),
    "slow_first": _slow_first,
    "slow_tokens": _slow_tokens,
    "hang": _only(Pause(3600.0)),
    "unknown": _changed(cause_kind="unknown", root_cause="unknown", evidence=[]),
    "invented_service": _changed(root_cause="The service billing-gateway-7 ran out of connections."),
    "invented_id": _changed(evidence=["E97"], root_cause="E97 shows that the disk is full."),
    "planted": _planted,
}
