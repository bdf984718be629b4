"""What can a commit break?  The hazards of its diff, strongest first."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from ml.changes.diffs import DEPENDENCY_FILE, INERT_FILE, LOG_CALL, Hunk, parse_diff
from ml.changes.lines import CALL, gone_lines, much_alike, new_lines
from ml.changes.quantities import likeness, number_changes
from ml.changes.rules import ADDITION_RULES, NUMBER_RULES, REMOVAL_RULES, Hazard, hazard_named
from ml.changes.scenario import Commit
from ml.changes.shapes import file_hazards, growth_hazards, setting_hazards, shape_hazards

_BY_A_RELEASE = "crash format missing failing connection memory slow"


def _number_hazards(hunks: Sequence[Hunk]) -> list[Hazard]:
    found: list[Hazard] = []
    for hunk in hunks:
        for change in number_changes(hunk):
            rule = next(((small, large) for pattern, small, large in NUMBER_RULES if pattern.search(change.name)), None)
            if rule is None:
                continue
            hazard = rule[0] if change.new < change.old else rule[1]
            low, high = sorted((abs(change.old), abs(change.new)))
            ratio = high / low if low > 0 else 100.0
            # doubling is half a change of consequence, a factor of four is a whole one
            strength = hazard.strength * min(1.0, math.log(ratio, 4) if ratio > 1 else 0.0)
            found.append(Hazard(hazard.name, strength, hazard.families))
            if ratio >= 10 and change.new > change.old:
                found.append(Hazard(f"tenfold {hazard.name}", min(1.0, 2 * hazard.strength), hazard.families))
    return found


def _dependency_hazards(hunks: Sequence[Hunk]) -> list[Hazard]:
    """Versions by how much they changed: a patch release hardly ever breaks anything."""
    found: list[Hazard] = []
    for hunk in hunks:
        old = [v for line in hunk.removed for v in re.findall(r"v?(\d+)\.(\d+)\.(\d+)", line)]
        new = [v for line in hunk.added for v in re.findall(r"v?(\d+)\.(\d+)\.(\d+)", line)]
        for before, after in zip(old, new, strict=False):
            if before[0] != after[0]:
                found.append(hazard_named("major release of a dependency", 0.6, _BY_A_RELEASE))
            elif before[1] != after[1]:
                found.append(hazard_named("minor release of a dependency", 0.25, _BY_A_RELEASE))
            elif before[2] != after[2]:
                found.append(hazard_named("patch release of a dependency", 0.08, "crash format failing"))
    return found


def _removal_hazards(hunks: Sequence[Hunk]) -> list[Hazard]:
    """Mechanisms that the new code has less often than the old: what is only rewritten or moved stays.

    In full when a line went with nothing in its place, or the piece was cut out of a line that is else alike; by half
    when the surroundings were rewritten, since the mechanism may live on under another name.
    """
    old = [line for hunk in hunks for line in hunk.removed if not LOG_CALL.search(line)]
    new = [line for hunk in hunks for line in hunk.added if not LOG_CALL.search(line)]
    gone = dict(gone_lines(hunks))
    found: list[Hazard] = []
    explained: set[str] = set()
    for pattern, hazard in REMOVAL_RULES:
        lines = [line for line in old if pattern.search(line)]
        if sum(len(pattern.findall(line)) for line in lines) <= sum(len(pattern.findall(line)) for line in new):
            continue
        cut = any(likeness(line, other) >= 0.6 and not pattern.search(other) for line in lines for other in new)
        cut = cut or any(much_alike(hunk) and any(line in hunk.removed for line in lines) for hunk in hunks)
        deleted = any(gone.get(line, False) for line in lines)
        explained.update(lines)
        found.append(hazard if cut or deleted else Hazard(hazard.name, hazard.strength * 0.5, hazard.families))
    fresh = {call for line in new for call in CALL.findall(line)} - {
        call for line in old for call in CALL.findall(line)
    }
    if not fresh and any(deleted and line not in explained and CALL.search(line) for line, deleted in gone.items()):
        found.append(hazard_named("call gone", 0.4, "missing failing stale"))
    return found


def hazards_of(commit: Commit) -> tuple[Hazard, ...]:
    """What the diff can break, strongest first."""
    hunks = parse_diff(commit.diff, commit.files)
    live = [hunk for hunk in hunks if not INERT_FILE.search(hunk.file)]
    dependencies = [hunk for hunk in live if DEPENDENCY_FILE.search(hunk.file)]
    code = [hunk for hunk in live if not DEPENDENCY_FILE.search(hunk.file)]
    found = _dependency_hazards(dependencies) + _number_hazards(code) + setting_hazards(code)
    found += growth_hazards(code) + shape_hazards(code) + file_hazards(code)
    found += _removal_hazards(code)
    for line in new_lines(code):
        found += [hazard for pattern, hazard in ADDITION_RULES if pattern.search(line)]
    best: dict[str, Hazard] = {}
    for hazard in found:
        if hazard.name not in best or hazard.strength > best[hazard.name].strength:
            best[hazard.name] = hazard
    return tuple(sorted(best.values(), key=lambda hazard: (-hazard.strength, hazard.name)))
