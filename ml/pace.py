"""How often do samples come, is there a gap, is the series warm, and does it stand still?"""

from math import exp, floor, log2

from ml import memory as m
from ml.compiled import compiled
from ml.memory import FloatArray

HOUR_S, DAY_S = 3_600.0, 86_400.0
WARM_UP_S, WARM_UP_SAMPLES = DAY_S, 50.0
# After a gap of twenty usual steps, and of an hour at least, so many samples are stale.
STALE_SAMPLES, STALE_STEPS = 3.0, 20.0
# So many gaps one after the other are none: the series comes more seldom from now on.
NEW_STEP_GAPS = 3.0
# Runs of equal values are forgotten with this time constant. A series usually moves when its value changed in so many
# hours lately: all of a day, or two each day. A burst of changes within an hour is one of them.
RUNS_S, LEAST_MOVED = 14 * DAY_S, 20.0


@compiled
def step(now: FloatArray, time: float, passed_s: float) -> None:
    """Note how long the sample let wait for itself, and whether that is a gap."""
    samples = now[m.SAMPLES]
    if now[m.STALE_LEFT] > 0.0:
        now[m.STALE_LEFT] -= 1.0
    is_gap = samples > 2.0 and passed_s > HOUR_S and passed_s > STALE_STEPS * now[m.USUAL_STEP]
    now[m.GAPS] = now[m.GAPS] + 1.0 if is_gap else 0.0
    if is_gap:
        now[m.STALE_LEFT] = STALE_SAMPLES
        now[m.RUN_SINCE] = time
    if samples == 1.0 or now[m.GAPS] == NEW_STEP_GAPS:
        now[m.USUAL_STEP] = passed_s
        now[m.GAPS] = 0.0
    elif samples > 1.0 and not is_gap:
        # One long step says little of the usual one.
        step_s = min(passed_s, 5.0 * now[m.USUAL_STEP])
        now[m.USUAL_STEP] += max(0.02, 1.0 / samples) * (step_s - now[m.USUAL_STEP])


@compiled
def warmth(now: FloatArray, time: float) -> float:
    """How much of the warm-up is done, from 0 to 1: a day, and fifty samples."""
    return float(min((time - now[m.FIRST_TIME]) / WARM_UP_S, now[m.SAMPLES] / WARM_UP_SAMPLES, 1.0))


@compiled
def frozen(now: FloatArray, time: float, value: float) -> float:
    """By how many doublings the present run of equal values is longer than the longest one lately; never below 0.

    A series says nothing by standing still that seldom moves. While it stands still nothing is forgotten, or the
    longest run would shrink beside the present one.
    """
    if value != now[m.LAST_VALUE]:
        faded = exp((now[m.RUN_SINCE] - time) / RUNS_S)
        now[m.LONGEST_RUN] = max(now[m.LONGEST_RUN] * faded, now[m.LAST_TIME] - now[m.RUN_SINCE])
        is_another_hour = floor(time / HOUR_S) != floor(now[m.RUN_SINCE] / HOUR_S)
        now[m.MOVED] = now[m.MOVED] * faded + (1.0 if is_another_hour else 0.0)
        now[m.RUN_SINCE] = time
    usual_step = now[m.USUAL_STEP]
    if now[m.MOVED] < LEAST_MOVED or usual_step <= 0.0:
        return 0.0
    run_s = time - now[m.RUN_SINCE] + usual_step
    return max(log2(run_s / (now[m.LONGEST_RUN] + 3.0 * usual_step)), 0.0)


@compiled
def gain(passed_s: float, constant_s: float, share: float) -> float:
    """The weight of a new sample in a fading mean: 1 / n at first, then what the time constant says."""
    return max(1.0 - exp(-passed_s / constant_s), share)
