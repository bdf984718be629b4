"""A model survives its way through bytes, and damaged or foreign bytes are never used."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from ml.artifact import FORMAT_VERSION, checksum, dump, load, pack, unpack
from ml.builtin import builtin_model
from ml.errors import ArtifactOutdated, ArtifactRejected
from ml.features import FEATURE_NAMES
from tests.unit.ml.made import daily, scored


@pytest.fixture(scope="module")
def stored() -> bytes:
    return dump(builtin_model())


def test_a_model_put_away_and_loaded_scores_the_same_and_has_the_same_bytes(stored: bytes) -> None:
    model = load(stored, checksum(stored))
    times, values = daily(1.5)
    assert scored(times, values, model=model) == scored(times, values)
    assert dump(model) == stored
    assert (model.version, model.algorithm) == ("builtin-2", "isolation_forest")
    assert set(model.library_versions) == {"numpy", "scikit-learn"}


def test_one_changed_byte_is_noticed(stored: bytes) -> None:
    for at in (0, len(stored) // 2, len(stored) - 1):
        changed = bytearray(stored)
        changed[at] ^= 1
        with pytest.raises(ArtifactRejected, match="checksum"):
            load(bytes(changed), checksum(stored))


@pytest.mark.parametrize("data", [b"", b"not a model", pickle.dumps({"a": 1}), b"PK\x03\x04" + b"\0" * 50])
def test_bytes_that_are_no_model_are_refused_whatever_their_checksum(data: bytes) -> None:
    with pytest.raises(ArtifactRejected):
        load(data, checksum(data))


def test_a_truncated_model_is_refused(stored: bytes) -> None:
    for end in (100, len(stored) // 2, len(stored) - 5):
        with pytest.raises(ArtifactRejected):
            load(stored[:end], checksum(stored[:end]))


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"format_version": FORMAT_VERSION + 1},
        {"format_version": "2"},
        {"feature_names": ["surprise"]},
        {"feature_names": list(reversed(FEATURE_NAMES))},
        {"feature_names": None},
        {"algorithm": "crystal_ball"},
        {"parameters": {}},
        {"parameters": {"trees": "many"}},
        {"library_versions": 3},
    ],
)
def test_a_header_that_does_not_suit_is_refused(stored: bytes, change: dict) -> None:
    header, arrays = unpack(stored)
    data = pack({**header, **change}, arrays)
    with pytest.raises(ArtifactRejected):
        load(data, checksum(data))


@pytest.mark.parametrize(
    "change", [{"format_version": FORMAT_VERSION - 1}, {"feature_names": ["surprise", "volatility", "range"]}]
)
def test_a_model_of_an_earlier_release_is_told_from_a_bad_one(stored: bytes, change: dict) -> None:
    header, arrays = unpack(stored)
    data = pack({**header, **change}, arrays)
    with pytest.raises(ArtifactOutdated, match="release"):
        load(data, checksum(data))


@pytest.mark.parametrize("missing", ["version", "algorithm", "parameters", "trained_on"])
def test_a_header_with_something_missing_is_refused(stored: bytes, missing: str) -> None:
    header, arrays = unpack(stored)
    del header[missing]
    data = pack(header, arrays)
    with pytest.raises(ArtifactRejected):
        load(data, checksum(data))


def test_an_array_of_python_objects_is_never_unpickled(stored: bytes) -> None:
    header, arrays = unpack(stored)
    evil = io.BytesIO()
    np.save(evil, np.array([_Trap()], dtype=object), allow_pickle=True)
    data = io.BytesIO(pack(header, {name: array for name, array in arrays.items() if name != "centre"}))
    with zipfile.ZipFile(data, "a") as archive:
        archive.writestr("centre.npy", evil.getvalue())
    with pytest.raises(ArtifactRejected):
        load(data.getvalue(), checksum(data.getvalue()))
    assert not _Trap.sprung


class _Trap:
    sprung = False

    def __reduce__(self):
        return (_spring, ())


def _spring() -> None:
    _Trap.sprung = True
