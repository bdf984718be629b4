"""What is said twice in one place is read as the last of both, and nobody hears of it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
FOLDERS = (".github", "bench", "db", "llm", "ml", "ops", "sensus", "tasks", "tests", "web")


def _files(*patterns: str) -> list[str]:
    found = {path for pattern in patterns for path in ROOT.glob(pattern)}
    found |= {path for pattern in patterns for name in FOLDERS for path in (ROOT / name).rglob(pattern)}
    return sorted(str(path.relative_to(ROOT)) for path in found)


def _keys(node: yaml.Node) -> Iterator[tuple[yaml.Mark, str]]:
    """Each key that a mapping has more than once, whatever stands below it."""
    if isinstance(node, yaml.MappingNode):
        counts = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        yield from ((node.start_mark, name) for name, count in counts.items() if count > 1)
    children = node.value if isinstance(node, yaml.CollectionNode) else []
    for child in children:
        for each in child if isinstance(child, tuple) else (child,):
            yield from _keys(each)


def _twice(text: str) -> list[str]:
    return [
        f"{name} in the mapping of line {mark.line + 1}"
        for node in yaml.compose_all(text)
        for mark, name in _keys(node)
    ]


def _bound_twice(source: str) -> set[str]:
    """The constants that a module binds more than once, one after the other."""
    targets = [
        target.id
        for statement in ast.parse(source).body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for target in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
        if isinstance(target, ast.Name)
    ]
    return {name for name, count in Counter(targets).items() if count > 1 and name.isupper()}


def test_a_key_and_a_constant_that_stand_twice_are_seen() -> None:
    assert _twice("a: 1\nb: {c: 1, d: [{e: 1, e: 2}]}\n---\na: 1\na: 2\n") == [
        "e in the mapping of line 2",
        "a in the mapping of line 4",
    ]
    assert _bound_twice("A = 1\nb = 1\nb = 2\n_C: int = 1\nA = 2\n_C = 2\n") == {"A", "_C"}


@pytest.mark.parametrize("name", _files("*.yml", "*.yaml"))
def test_no_mapping_has_a_key_twice(name: str) -> None:
    assert not _twice((ROOT / name).read_text("utf-8"))


def test_no_module_binds_a_constant_twice() -> None:
    bound = {name: _bound_twice((ROOT / name).read_text("utf-8")) for name in _files("*.py")}
    assert len(bound) > 300
    assert not {name: found for name, found in bound.items() if found}
