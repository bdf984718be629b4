"""The offline replay: causal, row by row, and clear about rows that are no samples."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ml.artifact import Model
from ml.builtin import builtin_model
from ml.scoring import Unscored, score_batch
from sensus import times
from sensus.errors import SensusError
from tasks.replay import BadFile, Retraining, replay
from tasks.replay_folder import plan, run
from tasks.retraining import Comparison

START = datetime(2026, 1, 1, tzinfo=UTC)
Lines = list[tuple[str, str]]


@pytest.fixture(scope="module")
def model() -> Model:
    return builtin_model()


def figures(folder: Path, lines: Lines, model: Model, retraining: Retraining | None = None) -> list[tuple[str, ...]]:
    source, target = folder / "in.csv", folder / "deep" / "out.csv"
    source.write_text("timestamp,value\n" + "".join(f"{at},{value}\n" for at, value in lines))
    replay(source, target, model, retraining)
    with target.open() as file:
        header, *rows = csv.reader(file)
    assert header == ["timestamp", "score", "alert"]
    return [tuple(row) for row in rows]


def made(count: int, step: timedelta = timedelta(minutes=5)) -> Lines:
    rng = np.random.default_rng(1)
    return [
        (f"{START + place * step:%Y-%m-%d %H:%M:%S}", repr(50 + 5 * float(np.sin(place / 40)) + float(noise)))
        for place, noise in enumerate(rng.standard_normal(count))
    ]


def test_the_figures_are_those_of_the_one_scoring_function_to_the_last_digit(tmp_path: Path, model: Model) -> None:
    lines = made(400)
    seconds = [times.to_epoch(times.parse(at)) for at, _ in lines]
    (found,) = score_batch(model, [Unscored(seconds, [float(value) for _, value in lines])])
    told = zip(lines, found.scores, found.alerts, strict=True)
    expected = [(at, repr(score), repr(alert)) for (at, _), score, alert in told]
    assert figures(tmp_path, lines, model) == expected


@pytest.mark.parametrize("retraining", [None, Retraining(days=5)])
def test_a_rows_figures_depend_on_it_and_earlier_rows_only(
    tmp_path: Path, model: Model, retraining: Retraining | None
) -> None:
    lines = made(1500)
    whole = figures(tmp_path, lines, model, retraining)
    for cut in (1, 577, 1400):
        assert figures(tmp_path, lines[:cut], model, retraining) == whole[:cut]


@pytest.mark.parametrize(
    ("name", "beside", "is_counter"),
    [
        ("jobs_total", "", True),
        ('jobs_total{queue="a"}', "", True),
        ("rpc_seconds_count", "rpc_seconds_sum", True),
        ("rpc_seconds_bucket{le=1}", "rpc_seconds_count{pod=b}", True),
        ("rpc_seconds_count", "", False),
        ("machine-jobs_total", "", False),
        ("2_total", "", False),
    ],
)
def test_the_name_of_a_file_says_whether_it_is_a_counter(
    tmp_path: Path, model: Model, name: str, beside: str, is_counter: bool
) -> None:
    (tmp_path / f"{name}.csv").write_text("timestamp,value\n" + "".join(f"{at},{value}\n" for at, value in made(60)))
    if beside:
        (tmp_path / f"{beside}.csv").touch()
    told = replay(tmp_path / f"{name}.csv", tmp_path / "out" / "out.csv", model, None)
    # Of these values each second one or so is lower than the one before, which tells nothing of a counter's growth.
    assert (told.not_scored > 10) is is_counter


def test_retraining_at_two_in_the_morning_changes_nothing_before(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Comparison, "is_no_worse", property(lambda _: True))
    lines = made(1500)
    never, nightly = figures(tmp_path, lines, model), figures(tmp_path, lines, model, Retraining(days=28))
    assert never != nightly
    first = next(place for place, (one, other) in enumerate(zip(never, nightly, strict=True)) if one != other)
    # Figures of the first minutes may be the same by either model.
    assert "02:00:00" <= lines[first][0][11:] < "06:00:00"


def test_a_repeated_timestamp_repeats_the_first_ones_figures(tmp_path: Path, model: Model) -> None:
    lines = made(50)
    again = [*lines[:30], (lines[29][0], "999"), (lines[10][0], "999"), *lines[30:]]
    rows, plain = figures(tmp_path, again, model), figures(tmp_path, lines, model)
    assert rows[30] == rows[29]
    assert rows[31] == rows[10]
    assert rows[:30] + rows[32:] == plain


def test_a_row_behind_the_newest_is_not_scored_and_disturbs_nothing(tmp_path: Path, model: Model) -> None:
    lines = made(50)
    late = lines.pop(20)
    rows, plain = figures(tmp_path, [*lines[:30], late, *lines[30:]], model), figures(tmp_path, lines, model)
    assert rows[30] == (late[0], "0.0", "0.0")
    assert rows[:30] + rows[31:] == plain


@pytest.mark.parametrize("nothing", ["", "NaN", "nan", "inf", "-inf"])
def test_a_row_without_a_value_is_no_sample(tmp_path: Path, model: Model, nothing: str) -> None:
    lines = made(50)
    with_hole = [*lines[:30], ("2026-01-01 02:27:30", nothing), *lines[30:]]
    rows, plain = figures(tmp_path, with_hole, model), figures(tmp_path, lines, model)
    assert rows[30] == ("2026-01-01 02:27:30", "0.0", "0.0")
    assert rows[:30] + rows[31:] == plain


def test_timestamps_of_all_kinds_come_back_as_they_were_written(tmp_path: Path, model: Model) -> None:
    written = ["2026-01-01T00:00:00Z", "2026-01-01 00:05:00", "1767226200", "2026-01-01T01:15:00.5+01:00"]
    rows = figures(tmp_path, [(at, "1") for at in written], model)
    assert [row[0] for row in rows] == written
    assert len(set(rows)) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,value\n", "the first line must be `timestamp,value`"),
        ("", "the first line must be"),
        ("timestamp,value\nyesterday,1\n", "row 2: not a time"),
        ("timestamp,value\n2026-01-01,1\n2026-01-02,much\n", "row 3: the value 'much' is not a number"),
        ("timestamp,value\n2026-01-01\n", "row 2: has 1 cells"),
    ],
)
def test_a_file_that_is_no_series_is_named_with_the_row(tmp_path: Path, model: Model, text: str, said: str) -> None:
    source = tmp_path / "odd.csv"
    source.write_text(text)
    with pytest.raises(BadFile, match=r"odd\.csv") as told:
        replay(source, tmp_path / "out.csv", model, None)
    assert said in str(told.value)
    assert "\n" not in str(told.value)
    assert not list(tmp_path.glob("*out.csv*"))


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.one_of(st.floats(), st.just(None))),
        max_size=60,
    )
)
@hypothesis_settings(max_examples=40, deadline=None)
def test_whatever_the_order_of_rows_each_gets_figures_between_0_and_1(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, float | None]]
) -> None:
    lines = [
        (times.isoformat(START + timedelta(minutes=minute)), "" if value is None else repr(value))
        for minute, value in rows
    ]
    out = figures(tmp_path_factory.mktemp("replay"), lines, builtin_model())
    assert [row[0] for row in out] == [at for at, _ in lines]
    assert all(0.0 <= float(figure) <= 1.0 for row in out for figure in row[1:])


def test_a_folder_keeps_its_shape_and_each_series_its_own_memory(tmp_path: Path, model: Model) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    (source / "machine").mkdir(parents=True)
    text = "timestamp,value\n" + "".join(f"{at},{value}\n" for at, value in made(30))
    for name in ("a.csv", "machine/b.csv"):
        (source / name).write_text(text)
    assert run(plan(source, target), model, None).rows == 60
    assert (target / "a.csv").read_text() == (target / "machine" / "b.csv").read_text()


def test_output_among_the_input_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("timestamp,value\n")
    with pytest.raises(SensusError, match="must not lie in"):
        plan(tmp_path, tmp_path / "out")


def test_a_folder_without_series_is_told(tmp_path: Path) -> None:
    with pytest.raises(SensusError, match="has no CSV file"):
        plan(tmp_path, tmp_path.parent / "elsewhere")
