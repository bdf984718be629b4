"""Output of many processes on one terminal."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensus.runtime.output import Console, lines_of


def read_all(fd: int) -> bytes:
    chunks = []
    while chunk := os.read(fd, 65536):
        chunks.append(chunk)
    return b"".join(chunks)


def shown(*, colour: bool) -> str:
    reader, writer = os.pipe()
    console = Console(writer, colour=colour)
    console.widen(len("worker-llm"))
    console.line("web", "hello", "32")
    console.close()
    os.close(writer)
    text = read_all(reader).decode()
    os.close(reader)
    return text


def test_a_line_begins_with_the_name_of_its_process() -> None:
    assert shown(colour=False) == "web        | hello\n"


def test_only_the_name_is_coloured() -> None:
    assert shown(colour=True) == "\x1b[32mweb        | \x1b[0mhello\n"


def test_writing_never_waits_for_a_reader_and_says_what_was_dropped() -> None:
    reader, writer = os.pipe()
    console = Console(writer, colour=False)
    for number in range(20_000):
        console.line("web", f"{number} {'x' * 100}", "")
    text: list[bytes] = []
    drain = threading.Thread(target=lambda: text.append(read_all(reader)))
    drain.start()
    console.flush(10)
    console.close()
    os.close(writer)
    drain.join(10)
    os.close(reader)
    lines = text[0].decode().splitlines()

    assert any("lines were dropped" in line for line in lines)
    assert lines[-1].startswith("web    | 19999 ")
    assert len(lines) < 15_000


def test_a_reader_that_has_gone_disturbs_nobody() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    console = Console(writer, colour=False)
    for _ in range(100):
        console.write("text\n")
        console.flush(1)
    console.close()
    os.close(writer)


def lines_from(data: bytes) -> list[str]:
    reader, writer = os.pipe()

    def write() -> None:
        with open(writer, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=write)
    thread.start()
    found = list(lines_of(reader))
    thread.join()
    os.close(reader)
    return found


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=200), max_size=40))
def test_lines_come_out_as_they_went_in(lines: list[str]) -> None:
    assert lines_from("".join(f"{line}\n" for line in lines).encode()) == lines


@pytest.mark.parametrize(
    ("data", "lines"),
    [(b"no end", ["no end"]), (b"dos\r\nunix\n", ["dos", "unix"]), (b"\xff\xfe\n", ["\ufffd\ufffd"])],
)
def test_odd_output_is_shown_too(data: bytes, lines: list[str]) -> None:
    assert lines_from(data) == lines


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    found = lines_from(b"x" * 60_000)

    assert all(len(line) <= 8000 for line in found)
