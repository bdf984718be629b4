"""A model as bytes and back: checked, and never by running anything that stands in the bytes."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.detectors import restore
from ml.detectors.base import Detector
from ml.errors import ArtifactOutdated, ArtifactRejected
from ml.features import FEATURE_NAMES

FORMAT = "sensus-model"
FORMAT_VERSION = 2
_READ = f"{FORMAT!r} version {FORMAT_VERSION}"
LARGEST_BYTES = 256 * 1024 * 1024
# zip has no time zone and begins in 1980: one constant date keeps the bytes of a model the same.
_DATE = (1980, 1, 1, 0, 0, 0)
_HEADER = "header.json"


@dataclass(frozen=True, slots=True)
class Model:
    """A fitted detector and where it comes from."""

    version: str
    algorithm: str
    parameters: Mapping[str, int | float]
    feature_names: tuple[str, ...]
    detector: Detector
    trained_on: Mapping[str, int | float | str] = field(default_factory=dict)
    library_versions: Mapping[str, str] = field(default_factory=dict)


def checksum(data: bytes) -> str:
    """SHA-256 of the bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def dump(model: Model) -> bytes:
    """The model as bytes; the same model gives the same bytes."""
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "version": model.version,
        "algorithm": model.algorithm,
        "parameters": dict(model.parameters),
        "feature_names": list(model.feature_names),
        "trained_on": dict(model.trained_on),
        "library_versions": dict(model.library_versions),
    }
    arrays = model.detector.to_arrays()
    return pack(header, arrays)


def load(data: bytes, expected_checksum: str) -> Model:
    """The model that `dump` put away.

    Raises ArtifactRejected, ArtifactOutdated for a model of an earlier release; then nothing of the bytes is in use.
    """
    found = checksum(data)
    if found != expected_checksum.lower():
        raise ArtifactRejected(f"the model's checksum is {found}, expected was {expected_checksum}")
    header, arrays = unpack(data)
    form, number = header.get("format"), header.get("format_version")
    if form != FORMAT or not isinstance(number, int) or number > FORMAT_VERSION:
        raise ArtifactRejected(f"the model is of format {form!r} version {number!r}, this release reads {_READ}")
    if number < FORMAT_VERSION:
        raise ArtifactOutdated(f"the model is of an earlier release, version {number}; this one reads {_READ}")
    try:
        names = tuple(str(name) for name in header["feature_names"])
        if names != FEATURE_NAMES:
            raise ArtifactOutdated(f"the model reads the features {names}, this release computes {FEATURE_NAMES}")
        model = Model(
            version=str(header["version"]),
            algorithm=str(header["algorithm"]),
            parameters=dict(header["parameters"]),
            feature_names=names,
            detector=restore(str(header["algorithm"]), arrays, dict(header["parameters"])),
            trained_on=dict(header["trained_on"]),
            library_versions={str(k): str(v) for k, v in header["library_versions"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise ArtifactRejected(f"the model's header is incomplete: {problem!r}") from problem
    return model


def pack(header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """A JSON header and numeric arrays as one zip (an .npz with a header.json), the same bytes each time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _write(archive, _HEADER, json.dumps(header, sort_keys=True).encode())
        for name in sorted(arrays):
            part = io.BytesIO()
            np.lib.format.write_array(part, np.ascontiguousarray(arrays[name]), (1, 0), allow_pickle=False)
            _write(archive, f"{name}.npy", part.getvalue())
    return buffer.getvalue()


def _write(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _DATE), data, zipfile.ZIP_DEFLATED, 6)


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Header and arrays of `pack`. Raises ArtifactRejected for anything else."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > LARGEST_BYTES:
                raise ArtifactRejected("the model would take too much memory")
            header = json.loads(archive.read(_HEADER))
            for name in archive.namelist():
                if name.endswith(".npy"):
                    part = io.BytesIO(archive.read(name))
                    arrays[name.removesuffix(".npy")] = np.lib.format.read_array(part, allow_pickle=False)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, KeyError, ValueError, OSError, EOFError) as problem:
        raise ArtifactRejected(f"the bytes are not a model: {problem!r}") from problem
    if not isinstance(header, dict):
        raise ArtifactRejected("the model's header is not an object")
    return header, arrays
