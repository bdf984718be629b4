"""`sensus check` says of each server whether it is there, and its exit code says whether all can work."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensus import cli, settings


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in settings.variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SENSUS_OLLAMA_URL", "http://127.0.0.1:9")


def checked(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, str]]:
    """The exit code, and what is said of each name."""
    code = cli.main(["check"])
    lines = capsys.readouterr().out.splitlines()
    return code, {line[:32].rstrip(): line[33:] for line in lines}


def test_servers_that_nobody_named_are_not_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = checked(capsys)
    assert code == 0  # `sensus up` brings them
    for name in ("database", "redis"):
        assert said[name] == (
            f"not set, and no `sensus up` runs in {tmp_path / 'data'}; "
            "where one runs elsewhere, SENSUS_DATA_DIR is its folder"
        )


def test_what_is_set_and_can_not_work_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SENSUS_NOTIFY_URLS", "json://127.0.0.1:9/here, slac://TokenA/TokenB")
    code, said = checked(capsys)
    assert code == 1
    assert said["notify json"].startswith("ok: ")
    assert said["notify slac"].startswith("WRONG: Apprise does not understand this URL of SENSUS_NOTIFY_URLS; ")
    assert not [line for line in said.values() if "Token" in line]

    monkeypatch.setenv("SENSUS_NOTIFY_URLS", "")
    monkeypatch.setenv("SENSUS_RUNBOOKS", "runbooks")
    code, said = checked(capsys)
    assert code == 1
    assert said["runbooks"] == f"WRONG: SENSUS_RUNBOOKS: {tmp_path}/runbooks is no folder that this user can read"

    (tmp_path / "runbooks").mkdir()
    code, said = checked(capsys)
    assert (code, said["runbooks"]) == (0, f"ok: {tmp_path}/runbooks is there")
