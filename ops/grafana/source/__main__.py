"""Write the dashboards: `python -m ops.grafana.source`."""

from __future__ import annotations

from pathlib import Path

from ops.grafana.source.all_boards import written

FOLDER = Path(__file__).parent.parent / "dashboards"

if __name__ == "__main__":
    for name, text in written().items():
        (FOLDER / name).write_text(text, "utf-8")
