"""The settings table of the README, made from the code: `make readme`."""

from __future__ import annotations

import sys
from pathlib import Path

from sensus import settings

BEGIN = "<!-- settings: made by `make readme` -->\n"
END = "<!-- end of settings -->\n"


def with_table(readme: str) -> str:
    """The README's text with its settings table as the code has it."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + settings.readme_table() + END + after


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_table(path.read_text("utf-8")), "utf-8")
