"""Machine code gives the figures of the interpreter, is kept where only we can write, and is there in time."""

import json
import os
import pickle
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ml import compiled, warm
from ml.builtin import builtin_model
from ml.compiled import cache_folder
from tests.unit.ml.made import daily, scored

_CALLED = {"_advance_all", "_calibrate", "_fall", "as_scores", "_judge", "_leaves", "_expect"}
_PRINTS_FIGURES = """
import json, sys
from ml import artifact
from ml.scoring import Unscored, score_batch
model, times, values = sys.argv[1:]
data = open(model, 'rb').read()
found = score_batch(artifact.load(data, artifact.checksum(data)), [Unscored(json.loads(times), json.loads(values))])
print(json.dumps([found[0].scores, found[0].alerts]))
"""

_KERNELS_AFTER_WARM_UP = """
import json, sys
import numba
from ml import artifact, forecast, warm
from ml.scoring import Unscored, score_batch

def kernels():
    found = {}
    for name, module in list(sys.modules.items()):
        if name.startswith('ml.'):
            for value in vars(module).values():
                if isinstance(value, numba.core.registry.CPUDispatcher):
                    found[value.py_func.__qualname__] = len(value.signatures)
    return found

warm.warm_up()
before = kernels()
data = open(sys.argv[1], 'rb').read()
model = artifact.load(data, artifact.checksum(data))
times = [300.0 * place for place in range(600)]
found = score_batch(model, [Unscored(times, [1.0] * 599 + [50.0])])
assert found[0].anomalies
assert forecast.forecasts([found[0].memory]) != [None]
print(json.dumps([before, kernels()]))
"""


def run(code: str, *arguments: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ml.artifact import dump

    file = tmp_path_factory.mktemp("model") / "ensemble"
    file.write_bytes(dump(builtin_model("ensemble")))
    return file


def test_machine_code_gives_the_bits_of_the_interpreter(ensemble: Path) -> None:
    times, values = daily(1.3, step=1800)
    values[-1] = 200.0
    told = run(_PRINTS_FIGURES, str(ensemble), json.dumps(times), json.dumps(values), NUMBA_DISABLE_JIT="1")
    found = scored(times, values, model=builtin_model("ensemble"))
    assert json.loads(told) == [found.scores, found.alerts]


def test_after_warming_up_nothing_is_compiled_any_more(ensemble: Path) -> None:
    before, after = json.loads(run(_KERNELS_AFTER_WARM_UP, str(ensemble)))
    assert before == after
    # What only other kernels call is part of their code, and is not counted itself.
    assert [name for name, count in after.items() if count > 1] == []
    assert {name for name in _CALLED if after[name] == 1} == _CALLED


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Beside the code nothing can be written, and the user has an empty home."""
    beside = tmp_path / "installed"
    beside.mkdir()
    monkeypatch.setattr(compiled, "_BESIDE", beside)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    # The owner of the tests may be root, whom no mode keeps from writing.
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: beside not in Path(path).parents and real(path, mode))
    return beside


def test_the_folder_that_is_named_is_the_one_that_is_used(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "named"))
    folder = cache_folder()
    assert folder is not None
    assert folder.parent == tmp_path / "named"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_where_the_installation_is_read_only_the_users_cache_takes_along_what_was_compiled(
    installed: Path, tmp_path: Path
) -> None:
    first = cache_folder()
    assert first is not None
    assert first.parent == tmp_path / "home" / ".cache" / "sensus"
    assert list(first.iterdir()) == []
    first.rmdir()
    (installed / first.name).mkdir(exist_ok=True)
    (installed / first.name / "kernel.nbc").write_bytes(b"code")
    assert cache_folder() == first
    assert (first / "kernel.nbc").read_bytes() == b"code"


def test_code_that_its_owner_keeps_to_himself_is_compiled_anew(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cache_folder()
    assert first is not None
    first.rmdir()
    (installed / first.name).mkdir(exist_ok=True)

    def refused(_: Path, target: Path, **__: object) -> None:
        (target / "module").mkdir()
        (target / "module" / "half.nbc").write_bytes(b"co")
        raise shutil.Error([("kernel.nbc", "kernel.nbc", "Permission denied")])

    monkeypatch.setattr(shutil, "copytree", refused)
    assert cache_folder() == first
    assert list(first.iterdir()) == []


@pytest.mark.parametrize("problem", [EOFError("Ran out of input"), pickle.UnpicklingError("pickle data was truncated")])
def test_code_that_was_cut_short_is_compiled_anew_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml" / "kernel.nbc").touch()
    (tmp_path / "kernel.nbi").touch()
    monkeypatch.setattr(compiled, "_CACHE", tmp_path)

    def read() -> None:
        if list(tmp_path.iterdir()):
            raise problem

    monkeypatch.setattr(warm, "_go_every_way", read)
    warm.warm_up()
    assert list(tmp_path.iterdir()) == []

    def never() -> None:
        raise problem

    monkeypatch.setattr(warm, "_go_every_way", never)
    with pytest.raises(type(problem)):
        warm.warm_up()


def test_a_folder_that_others_may_write_into_is_never_used(installed: Path, tmp_path: Path) -> None:
    open_to_all = cache_folder()
    assert open_to_all is not None
    open_to_all.chmod(0o777)
    other = cache_folder()
    assert other is not None
    assert other.parent.parent == tmp_path / "temporary"


def test_without_any_place_to_write_there_is_no_cache(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert cache_folder() is None


def test_processes_that_start_together_without_a_cache_all_get_their_code(ensemble: Path, tmp_path: Path) -> None:
    times, values = daily(0.1)
    arguments = [sys.executable, "-c", _PRINTS_FIGURES, str(ensemble), json.dumps(times), json.dumps(values)]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    started = [
        subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    told = [process.communicate() for process in started]
    found = scored(times, values, model=builtin_model("ensemble"))
    assert [(json.loads(out), problems) for out, problems in told] == [([found.scores, found.alerts], "")] * 3
    assert list(tmp_path.rglob("*.nbc"))
