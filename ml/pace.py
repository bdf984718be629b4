"""How often do samples come, is there a gap, is the series warm, and does it stand still?"""

from math import exp, log2

from ml import memory as m
from ml.compiled import compiled
from ml.memory import FloatArray

HOUR_S, DAY_S = 3_600.0, 86_400.0
WARM_UP_S, WARM_UP_SAMPLES = DAY_S, 50.0
# After a gap of twenty usual steps, and of an hour at least, so many samples are stale.
STALE_SAMPLES, STALE_STEPS = 3.0, 20.0
# The longest run of equal values is forgotten with this time constant.
RUNS_S = 14 * DAY_S


@compiled
def step(now: FloatArray, time: float, passed_s: float) -> None:
    """Note how long the sample let wait for itself, and whether that is a gap."""
    samples = now[m.SAMPLES]
    if now[m.STALE_LEFT] > 0.0:
        now[m.STALE_LEFT] -= 1.0
    if samples > 2.0 and passed_s > HOUR_S and passed_s > STALE_STEPS * now[m.USUAL_STEP]:
        now[m.STALE_LEFT] = STALE_SAMPLES
        now[m.RUN_SINCE] = time
    elif samples == 1.0:
        now[m.USUAL_STEP] = passed_s
    elif samples > 1.0:
        # One long step says little of the usual one.
        step_s = min(passed_s, 5.0 * now[m.USUAL_STEP])
        now[m.USUAL_STEP] += max(0.02, 1.0 / samples) * (step_s - now[m.USUAL_STEP])


@compiled
def warmth(now: FloatArray, time: float) -> float:
    """How much of the warm-up is done, from 0 to 1: a day, and fifty samples."""
    return float(min((time - now[m.FIRST_TIME]) / WARM_UP_S, now[m.SAMPLES] / WARM_UP_SAMPLES, 1.0))


@compiled
def frozen(now: FloatArray, time: float, value: float, passed_s: float) -> float:
    """By how many doublings the present run of equal values is longer than the longest one lately; never below 0.

    A series says nothing by standing still that never moved.
    """
    now[m.LONGEST_RUN] *= exp(-passed_s / RUNS_S)
    if value != now[m.LAST_VALUE]:
        now[m.LONGEST_RUN] = max(now[m.LONGEST_RUN], now[m.LAST_TIME] - now[m.RUN_SINCE])
        now[m.RUN_SINCE] = time
    usual_step = now[m.USUAL_STEP]
    if now[m.RUN_SINCE] - now[m.FIRST_TIME] <= DAY_S or usual_step <= 0.0:
        return 0.0
    run_s = time - now[m.RUN_SINCE] + usual_step
    return max(log2(run_s / (now[m.LONGEST_RUN] + 3.0 * usual_step)), 0.0)


@compiled
def gain(passed_s: float, constant_s: float, share: float) -> float:
    """The weight of a new sample in a fading mean: 1 / n at first, then what the time constant says."""
    return max(1.0 - exp(-passed_s / constant_s), share)
