"""What a start tells of the way in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sensus.errors import ConfigurationError
from sensus.runtime import ports, secrets
from sensus.runtime.up import Plan, make_plan, start_table
from sensus.settings import Settings


def plan_in(folder: Path, **more: Any) -> Plan:
    own_servers = {"database_url": "postgresql://nobody@127.0.0.1:9/none", "redis_url": "redis://127.0.0.1:9/0"}
    given = {"data_dir": folder, "port": 0, "flower_port": 0, "postgres_port": 0, "redis_port": 0}
    return make_plan(Settings(_env_file=None, **{**given, **own_servers, **more}))


def told(plan: Plan) -> str:
    return "\n".join(start_table(plan, {"web": 1}))


def test_login_and_key_are_shown_until_a_start_was_ready(tmp_path: Path) -> None:
    port = ports.choose(0, "a test")
    with pytest.raises(ConfigurationError, match="are both"):
        plan_in(tmp_path, port=port, flower_port=port)
    plan_in(tmp_path)  # stopped before it was ready
    first = plan_in(tmp_path)
    made = secrets.load(tmp_path)
    assert f"admin / {made.admin_password}" in told(first)
    assert made.source_key in told(first)

    secrets.note_shown(tmp_path)
    later = plan_in(tmp_path)
    assert made.admin_password not in told(later)
    assert made.source_key not in told(later)
    assert secrets.load(tmp_path) == made


def test_each_start_tells_where_login_and_key_are_kept(tmp_path: Path) -> None:
    for _ in range(2):
        assert f"login and key: {tmp_path / 'secrets.json'}" in told(plan_in(tmp_path))
        secrets.note_shown(tmp_path)


def test_what_was_given_is_kept_where_it_was_given(tmp_path: Path) -> None:
    kept = f": {tmp_path / 'secrets.json'}"
    assert f"\nkey{kept}" in told(plan_in(tmp_path, admin_password="a password of the owner"))
    assert f"\nlogin{kept}" in told(plan_in(tmp_path, source_key="sns_given"))
    assert kept not in told(plan_in(tmp_path, admin_password="a password of the owner", source_key="sns_given"))


def test_another_folder_is_told_as_other_commands_want_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "SENSUS_DATA_DIR" not in told(plan_in(Path("data")))
    assert f"other commands find this with SENSUS_DATA_DIR='{tmp_path}/other one'" in told(plan_in(Path("other one")))


def test_what_can_not_work_is_told(tmp_path: Path) -> None:
    (tmp_path / "runbooks").mkdir()
    good = plan_in(tmp_path, notify_urls="json://127.0.0.1:9/here", runbooks=tmp_path / "runbooks")
    assert "WRONG" not in told(good)
    bad = told(plan_in(tmp_path, notify_urls="slac://TokenA/TokenB", runbooks=tmp_path / "none"))
    assert "\nWRONG: notify slac: " in bad
    assert f"\nWRONG: runbooks: SENSUS_RUNBOOKS: {tmp_path}/none " in bad
