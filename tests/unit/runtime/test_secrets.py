"""The secrets of a data folder."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from sensus.errors import ConfigurationError
from sensus.runtime import secrets


def test_the_first_start_makes_secrets_and_later_starts_find_the_same(tmp_path: Path) -> None:
    first = secrets.load(tmp_path / "data")

    assert secrets.load(tmp_path / "data") == first
    assert all(len(value) >= 20 for value in asdict(first).values())
    assert len(set(asdict(first).values())) == 3


def test_two_installations_share_no_secret(tmp_path: Path) -> None:
    first, second = (asdict(secrets.load(tmp_path / name)) for name in ("a", "b"))

    assert not set(first.values()) & set(second.values())


def test_only_the_owner_reads_the_secrets(tmp_path: Path) -> None:
    secrets.load(tmp_path / "new" / "data")

    assert (tmp_path / "new" / "data").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new" / "data" / secrets.FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "new" / "data").iterdir()] == [secrets.FILE]


def test_a_secrets_file_that_was_opened_to_others_is_closed_again(tmp_path: Path) -> None:
    secrets.load(tmp_path)
    (tmp_path / secrets.FILE).chmod(0o644)
    secrets.load(tmp_path)

    assert (tmp_path / secrets.FILE).stat().st_mode & 0o777 == 0o600


def test_a_secret_that_a_later_release_needs_is_added_and_the_others_stay(tmp_path: Path) -> None:
    first = secrets.load(tmp_path)
    kept = json.loads((tmp_path / secrets.FILE).read_text())
    del kept["source_key"]
    (tmp_path / secrets.FILE).write_text(json.dumps(kept))
    second = secrets.load(tmp_path)

    assert second.source_key != first.source_key
    assert second.jwt_secret == first.jwt_secret
    assert secrets.load(tmp_path) == second


@pytest.mark.parametrize("content", ["", "{", "[]", '{"jwt_secret": 7}'])
def test_a_damaged_secrets_file_is_never_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / secrets.FILE).write_text(content)

    with pytest.raises(ConfigurationError, match=r"secrets\.json"):
        secrets.load(tmp_path)
    assert (tmp_path / secrets.FILE).read_text() == content


def test_a_folder_that_others_use_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o755)
    (tmp_path / "shared" / "theirs").touch()
    secrets.private_folder(tmp_path / "shared")

    assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o755


def test_a_data_folder_that_is_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").touch()

    with pytest.raises(ConfigurationError, match=r"can't be used as a data folder.*--data DIR"):
        secrets.load(tmp_path / "data")
