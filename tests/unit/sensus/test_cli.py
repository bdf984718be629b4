"""The command says in one line what to do, and its exit code says what happened."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sensus import __version__, cli


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("words", [[], ["sing"], ["db"], ["up", "--loud"]])
def test_wrong_usage_is_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2
    assert "usage: sensus" in capsys.readouterr().err


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"sensus {__version__}\n"


def test_a_failure_is_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SENSUS_PROT", "1")
    assert cli.main(["check"]) == 1
    assert capsys.readouterr().err == "sensus: unknown setting SENSUS_PROT; did you mean SENSUS_PORT?\n"


def test_what_nobody_foresaw_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_words: object) -> int:
        raise ValueError("a first line\nand a second")

    monkeypatch.setattr("sensus.check.run", fail)
    assert cli.main(["check"]) == 1
    assert capsys.readouterr().err.startswith("sensus: ValueError: a first line (")
    monkeypatch.setenv("SENSUS_LOG_LEVEL", "DEBUG")
    with pytest.raises(ValueError, match="second"):
        cli.main(["check"])


def test_the_number_of_a_key_is_one_that_a_key_can_have(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["key", "revoke", "9" * 24])
    assert caught.value.code == 2
    assert "sensus key list" in capsys.readouterr().err


def test_a_command_whose_libraries_are_not_installed_says_where_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    for module in [name for name in sys.modules if name.split(".")[0] in ("ml", "tasks")]:
        monkeypatch.delitem(sys.modules, module)
    assert cli.main(["score", "--help"]) == 1
    assert capsys.readouterr().err == (
        "sensus: this command needs numpy, which is not installed here; in containers use the workers' image\n"
    )
