"""Which lines are really gone, and which are really new, when moved and rewritten ones are left out?"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ml.changes.diffs import LOG_CALL, Hunk
from ml.changes.quantities import likeness

CALL = re.compile(r"([A-Za-z_][\w.]*)\s*\(")


_KEYWORDS_NOT_CALLS = frozenset(
    "if for while switch return func function catch def class and or not in defer".split()  # noqa: SIM905
)


def normal(line: str) -> str:
    return re.sub(r"\W+", " ", line).strip().lower()


def gone_lines(hunks: Sequence[Hunk]) -> list[tuple[str, bool]]:
    """Removed lines that come back nowhere, and whether nothing stands in their place (a pure deletion)."""
    back = [normal(line) for hunk in hunks for line in hunk.added]
    joined = " ".join(back)
    found: list[tuple[str, bool]] = []
    for hunk in hunks:
        grown = " ".join(normal(line) for line in hunk.added)
        for line in hunk.removed:
            bare = normal(line)
            if (
                not bare
                or bare in joined
                or LOG_CALL.search(line)
                or max((likeness(line, a) for a in hunk.added), default=0.0) > 0.8
            ):
                continue
            calls = [c.split(".")[-1].lower() for c in CALL.findall(line) if c not in _KEYWORDS_NOT_CALLS]
            if calls and all(call in joined for call in calls):
                continue
            found.append((line, not grown or len(hunk.added) * 2 < len(hunk.removed)))
    return found


def new_lines(hunks: Sequence[Hunk]) -> list[str]:
    before = " ".join(normal(line) for hunk in hunks for line in hunk.removed)
    return [
        line
        for hunk in hunks
        for line in hunk.added
        if normal(line) and normal(line) not in before and not LOG_CALL.search(line)
    ]


def much_alike(hunk: Hunk) -> bool:
    """Old and new text are mostly the same, so that what is missing was cut out, not rewritten."""
    return bool(hunk.added) and likeness(" ".join(hunk.removed), " ".join(hunk.added)) >= 0.75
