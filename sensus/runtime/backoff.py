"""How long until a process that died is started again?  Longer each time, until it has run well for a while."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_S = 0.5
LONGEST_S = 30.0
STABLE_S = 60.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """The number of deaths in a row; each makes a new value."""

    deaths: int = 0

    def after_running(self, seconds: float) -> Backoff:
        """The state after a run of this length; a stable run forgets the deaths before it."""
        return Backoff(1 if seconds >= STABLE_S else self.deaths + 1)

    @property
    def delay_s(self) -> float:
        return float(min(LONGEST_S, FIRST_S * 2 ** min(max(self.deaths - 1, 0), 16)))
