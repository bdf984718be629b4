"""What a request of a bulk sender brought: samples to be stored, and counts of what can't be."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field

from db.queries.samples import NewSamples
from sensus.storable import NotStorable
from web.schemas.sample_rules import Window

# Prometheus sends up to 2,000 in one request unless told otherwise, vmagent and collectors 10,000.
MOST_SAMPLES = 50_000
# Of all NaNs this one says that the series has ended or its target was lost: there is no value.
STALE = struct.pack("<Q", 0x7FF0000000000002)


@dataclass(slots=True)
class Taken:
    """`sent` = samples + markers + refused."""

    samples: NewSamples = field(default_factory=NewSamples)
    sent: int = 0
    markers: int = 0  # of staleness
    refused: Counter[str] = field(default_factory=Counter)  # samples, by reason
    told: dict[str, str] = field(default_factory=dict)  # of each reason, what is wrong with the first of them
    ignored: Counter[str] = field(default_factory=Counter)  # what are no samples, by kind

    def refuse(self, error: NotStorable, count: int = 1) -> None:
        """Count what is not stored."""
        self.refused[error.reason] += count
        self.told.setdefault(error.reason, f"{error.field}: {error}")

    def refuse_value(self, window: Window, at: int, value: float) -> None:
        """Count a value that is of no time that is kept, or no finite number."""
        if struct.pack("<d", value) == STALE:
            self.markers += 1
            return
        try:
            window.check(at)
        except NotStorable as error:
            self.refuse(error)
        else:
            self.refuse(NotStorable("not_finite", "value", f"{value} is no number to reckon with"))
