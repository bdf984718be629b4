"""Is this score worth waking someone?  From a stream of scores to a calibrated alert figure and a verdict."""

import struct
from dataclasses import dataclass
from math import floor, inf, isfinite, nan
from typing import Self

from ml.errors import MemoryRejected
from ml.features import State

DAY_S = 86_400.0
PEAK_DAYS = 28

_BODY = struct.Struct(f"<q{3 + PEAK_DAYS}d")
CALIBRATION_BYTES = _BODY.size


@dataclass(frozen=True, slots=True)
class Policy:
    """When an alert figure becomes an anomaly.

    The numbers were chosen once, on labelled series of other systems, and are the same for all series. The
    threshold lies above `ordinary_peak`, so what a series does on most days pages nobody.
    """

    threshold: float = 0.53  # an alert figure from here on is an anomaly
    ordinary_peak: float = 0.5  # daily peaks up to here are nothing special and take nothing off
    peak_weight: float = 0.85  # of what the usual daily peak of the series is above that is taken off
    hold_off_s: float = 45_000.0  # one event pages once in this time ...
    clear_rise: float = 0.05  # ... unless it rises by so much above what it was
    held_share: float = 0.5  # what is left of the alert figure while it is held off
    warm_up_share: float = 0.4  # what is left of it on the very first sample; grows to 1 over the warm-up

    def is_anomaly(self, alert: float) -> bool:
        """Is someone to be woken?"""
        return alert >= self.threshold


DEFAULT_POLICY = Policy()


class Calibration:
    """What is remembered of the scores of a series: its daily peaks, and what is held off.

    `usual_peak` is the daily peak that nine of ten days stay below, of the last 28 days with samples, and 0
    while there is none. Days count in UTC, and the warm-up does not count.
    """

    __slots__ = ("day", "held_peak", "held_until", "peak", "peaks", "usual_peak")

    def __init__(self) -> None:
        self.day = 0
        self.peak = 0.0
        self.held_peak = 0.0
        self.held_until = -inf
        self.peaks: list[float] = []  # of the days before, newest last
        self.usual_peak = 0.0

    def advance(self, time: float, score: float, state: State, warmth: float, policy: Policy) -> float:
        """The alert figure of the next sample, from 0 to 1."""
        self._note_peak(time, score, state)
        alert = score
        if self.usual_peak > policy.ordinary_peak:
            alert -= policy.peak_weight * (self.usual_peak - policy.ordinary_peak)
            if score <= self.usual_peak:
                # A daily job scores high each day. It is not news, however high.
                alert = min(alert, policy.ordinary_peak)
        if state == "warming_up":
            alert *= policy.warm_up_share + (1.0 - policy.warm_up_share) * warmth
        alert = min(max(alert, 0.0), 1.0)
        if time < self.held_until and alert <= self.held_peak + policy.clear_rise:
            return alert * policy.held_share
        self.held_peak = alert
        self.held_until = time + policy.hold_off_s
        return alert

    def _note_peak(self, time: float, score: float, state: State) -> None:
        day = floor(time / DAY_S)
        if day != self.day:
            if self.peak > 0.0:
                self.peaks = [*self.peaks, self.peak][-PEAK_DAYS:]
                self.usual_peak = _usual(self.peaks)
            self.day = day
            self.peak = 0.0
        if state != "warming_up" and score > self.peak:
            self.peak = score

    def to_bytes(self) -> bytes:
        """The memory as bytes, always of the same size."""
        peaks = [nan] * (PEAK_DAYS - len(self.peaks)) + self.peaks
        return _BODY.pack(self.day, self.peak, self.held_peak, self.held_until, *peaks)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The memory that `to_bytes` put away. Raises MemoryRejected."""
        if len(data) != CALIBRATION_BYTES:
            raise MemoryRejected(f"calibration of {len(data)} bytes, {CALIBRATION_BYTES} are needed")
        memory = cls()
        memory.day, memory.peak, memory.held_peak, memory.held_until, *peaks = _BODY.unpack(data)
        memory.peaks = [peak for peak in peaks if peak == peak]
        memory.usual_peak = _usual(memory.peaks)
        if not all(map(isfinite, [memory.peak, memory.held_peak, *memory.peaks])):
            raise MemoryRejected("calibration with a figure that is not finite")
        return memory


def _usual(peaks: list[float]) -> float:
    return sorted(peaks)[(len(peaks) - 1) * 9 // 10] if peaks else 0.0
