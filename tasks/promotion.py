"""May the challenger take the champion's place?  Only when it is no worse in anything that was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

from ml.verdicts import Agreement
from tasks.retraining import Comparison

Outcome = Literal["promoted", "refused", "waits"]

# So many samples, over so long a time, must have been scored by both before their alarms are compared.
LEAST_SHADOWED = 200
LEAST_SHADOW_S = 3 * 3600.0
# A model that pages so much more often than the one in force is not to be let loose, whatever else it finds.
MOST_TIMES_MORE = 1.5
_CHANCE = 3.0  # standard deviations of a count, and so many alarms in any case, are chance


@dataclass(frozen=True, slots=True)
class Shadow:
    """What both said of the same live samples."""

    samples: int
    challenger_alarms: int
    champion_alarms: int
    seconds: float  # since the challenger began

    @property
    def is_enough(self) -> bool:
        """Whether it says anything yet."""
        return self.samples >= LEAST_SHADOWED and self.seconds >= LEAST_SHADOW_S

    @property
    def most_alarms(self) -> float:
        """So many alarms of the challenger are not more than the champion's, but for chance."""
        return MOST_TIMES_MORE * self.champion_alarms + _CHANCE * (1.0 + sqrt(self.champion_alarms))

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "samples": self.samples,
            "challenger_alarms": self.challenger_alarms,
            "champion_alarms": self.champion_alarms,
            "hours": self.seconds / 3600.0,
        }


@dataclass(frozen=True, slots=True)
class Feedback:
    """Both models on the samples that people judged."""

    challenger: Agreement
    champion: Agreement

    @property
    def is_no_worse(self) -> bool:
        """Whether the challenger pages for as many real ones, and for no more false ones."""
        return (
            self.challenger.real_paged >= self.champion.real_paged
            and self.challenger.false_paged <= self.champion.false_paged
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"challenger": self.challenger.to_dict(), "champion": self.champion.to_dict()}


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done with a challenger, why, and the figures behind it."""

    outcome: Outcome
    reasons: tuple[str, ...]
    faults: Comparison
    feedback: Feedback
    shadow: Shadow

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "outcome": self.outcome,
            "reasons": list(self.reasons),
            "faults": self.faults.to_dict(),
            "feedback": self.feedback.to_dict(),
            "shadow": self.shadow.to_dict(),
        }


def decide(faults: Comparison, feedback: Feedback, shadow: Shadow) -> Decision:
    """Promote what is no worse on injected faults and on judged samples, and does not page much more often.

    While too few live samples were scored by both, a challenger that is no worse waits; one that is worse does not.
    """
    worse = tuple(_worse(faults, feedback, shadow))
    if worse:
        return Decision("refused", worse, faults, feedback, shadow)
    if not shadow.is_enough:
        told = f"scored {shadow.samples} samples beside the champion in {shadow.seconds / 3600.0:.1f} h"
        return Decision("waits", (told,), faults, feedback, shadow)
    return Decision("promoted", ("no worse in anything",), faults, feedback, shadow)


def _worse(faults: Comparison, feedback: Feedback, shadow: Shadow) -> Iterator[str]:
    if not faults.is_no_worse:
        yield f"injected faults: {faults.told}"
    if not feedback.is_no_worse:
        mine, its = feedback.challenger, feedback.champion
        yield (
            f"judged samples: pages for {mine.real_paged} of {mine.real} real and {mine.false_paged} of {mine.false} "
            f"false ones, the champion for {its.real_paged} and {its.false_paged}"
        )
    if shadow.samples >= LEAST_SHADOWED and shadow.challenger_alarms > shadow.most_alarms:
        yield f"live: {shadow.challenger_alarms} alarms, the champion {shadow.champion_alarms} on the same samples"
