"""Is beat at work?  A scheduler that leaves a pulse, since nobody can ask beat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from celery.beat import PersistentScheduler

from sensus.runtime.probes import PULSE_FILE


class PulsingScheduler(PersistentScheduler):
    """Celery's scheduler, which touches a file beside its schedule each time it looks what is due."""

    schedule_filename: str

    def tick(self, *arguments: Any, **options: Any) -> float:
        """Send what is due; seconds until the next look."""
        Path(self.schedule_filename).with_name(PULSE_FILE).touch()
        return float(super().tick(*arguments, **options))
