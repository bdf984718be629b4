"""Does a release carry one version everywhere, and the notes that belong to it?"""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

import sensus
from ops import release

PLACES = ("CHANGELOG.md", *dict.fromkeys(name for name, _ in (release._HOME, *release._COPIES)))
ON = date(2027, 1, 31)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of what a release touches, with something that is not released yet."""
    for name in PLACES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(release.ROOT / name, tmp_path / name)
    changelog = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A door.\n\n## [0.1.0] - 2026-11-24\n\n- All.\n"
    (tmp_path / "CHANGELOG.md").write_text(changelog)
    return tmp_path


def test_every_place_that_names_the_version_has_the_same() -> None:
    assert set(release.written(release.ROOT)) == {sensus.__version__}


def test_a_prepared_release_has_its_version_everywhere_and_its_notes(root: Path) -> None:
    release.prepare(root, "9.8.7", ON)
    assert set(release.written(root)) == {"9.8.7"}
    assert "## [Unreleased]\n\n## [9.8.7] - 2027-01-31\n" in (root / "CHANGELOG.md").read_text()
    assert release.notes(root, "9.8.7") == "### Added\n\n- A door.\n"
    assert sensus.__version__ not in (root / "docker-compose.yml").read_text()
    assert "name: prepare-9-8-7\n" in (root / "ops/kubernetes/base/prepare.yaml").read_text()


def test_notes_of_another_version_than_the_code_has_are_refused(root: Path) -> None:
    with pytest.raises(release.NotReady, match=r"prepare 9\.9\.9"):
        release.notes(root, "9.9.9")


def test_a_version_that_the_changelog_does_not_know_has_no_notes(root: Path) -> None:
    (root / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n- A door.\n")
    with pytest.raises(release.NotReady, match="says nothing"):
        release.notes(root, sensus.__version__)


@pytest.mark.parametrize("version", ["0.0.9", sensus.__version__])
def test_a_version_never_goes_back(root: Path, version: str) -> None:
    before = (root / "docker-compose.yml").read_text()
    with pytest.raises(release.NotReady, match="no later"):
        release.prepare(root, version, ON)
    assert (root / "docker-compose.yml").read_text() == before


def test_a_release_of_nothing_is_refused(root: Path) -> None:
    (root / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - 2026-11-24\n\n- All.\n")
    with pytest.raises(release.NotReady, match="nothing is unreleased"):
        release.prepare(root, "9.8.7", ON)


def test_a_place_that_lost_its_version_is_noticed(root: Path) -> None:
    compose = root / "docker-compose.yml"
    compose.write_text(compose.read_text().replace("image: sensus-worker:", "image: other:"))
    with pytest.raises(release.NotReady, match="sensus-worker"):
        release.prepare(root, "9.8.7", ON)


def test_wrong_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        release.main(["notes", "v1"])
    assert ended.value.code == 2
    assert release.main(["notes", "99.0.0"]) == 1
    assert capsys.readouterr().err.endswith("first: python ops/release.py prepare 99.0.0\n")
