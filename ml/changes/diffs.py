"""Which lines of code does a diff remove and add, file by file?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

# Files that never change what runs.
INERT_FILE = re.compile(
    r"\.(md|rst|txt|css|scss|svg|png|golden)$|(^|/)(docs?|testdata|"
    r"tests?|__tests__|fixtures|\.github)/|_test\.|\.test\.|\.spec\.|"
    r"(^|/)(readme|changelog|license|codeowners|\.golangci)|lint",
    re.IGNORECASE,
)


DEPENDENCY_FILE = re.compile(
    r"(^|/)(go\.(mod|sum)|package(-lock)?\.json|yarn\.lock|"
    r"requirements.*\.txt|poetry\.lock|pom\.xml|cargo\.(toml|lock)|"
    r"build\.gradle)$",
    re.IGNORECASE,
)


CONFIG_FILE = re.compile(
    r"\.(ya?ml|toml|ini|conf|properties|env|json|tfvars|tf|hcl|cfg)$|(^|/)(config|helm|charts|deploy|k8s)/",
    re.IGNORECASE,
)


_COMMENT = re.compile(r"^\s*(//|#(?!include)|/\*|\*|--(?!-)|<!--|;)")


_IMPORT = re.compile(r"^\s*(import\b|from\s+\S+\s+import|#include|using\s|require\(|package\s)")


LOG_CALL = re.compile(
    r"\b(log(ger|ging)?|slog|zap|console|LOG_\w+|print(ln|f)?|"
    r"fmt\.Print\w*|metrics?_?|prometheus|span|tracer|histogram|counter)"
    r"\w*(\.|\(|::)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Hunk:
    file: str
    removed: tuple[str, ...]
    added: tuple[str, ...]
    context: tuple[str, ...]


# Lines of a hunk are compared each with each. What is longer was generated, or moved as a whole.
_MOST_LINES, _LONGEST_LINE = 50, 400


def _code(lines: Iterable[str]) -> tuple[str, ...]:
    code = (line for line in lines if line.strip() and not _COMMENT.match(line) and not _IMPORT.match(line))
    return tuple(line[:_LONGEST_LINE] for line in islice(code, _MOST_LINES))


def parse_diff(diff: str, files: Sequence[str]) -> tuple[Hunk, ...]:
    """Hunks with their removed and added lines of code; comments and imports left out."""
    hunks: list[Hunk] = []
    file = files[0] if files else ""
    removed: list[str] = []
    added: list[str] = []
    context: list[str] = []

    def close() -> None:
        if removed or added:
            hunks.append(Hunk(file, _code(removed), _code(added), tuple(context)))
        removed.clear()
        added.clear()
        context.clear()

    for line in diff.splitlines():
        if line.startswith(("--- ", "+++ ")) and (line[4:6] in ("a/", "b/") or line[4:].startswith("/dev/null")):
            close()
            if line.startswith("+++ ") and not line[4:].startswith("/dev/null"):
                file = line[6:].strip()
        elif line.startswith("@@"):
            close()
            file = next((name for name in files if name in line), file)
            context.append(line.strip("@ "))
        elif line.startswith("-"):
            removed.append(line[1:])
        elif line.startswith("+"):
            added.append(line[1:])
        else:
            context.append(line)
    close()
    return tuple(hunks)
