"""How are long series scored in little memory?  Chunk by chunk, and what is remembered is carried to the next."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ml.artifact import Model
from ml.memory import Memory, with_rings
from ml.scoring import Scored, Unscored, score_batch
from ml.threshold import DEFAULT_POLICY, Policy

# Samples of each series at a time; the figures of one take 200 bytes.
CHUNK = 4_096


@dataclass(frozen=True, slots=True)
class Chunk:
    """What came of some samples of one series; its anomalies count from the first of these."""

    series: int  # its number among the series
    first: int  # the place of the first sample in the series
    scored: Scored
    memory: Memory  # with its rings, whether they changed or not


def score_in_chunks(
    model: Model, series: Sequence[Unscored], policy: Policy = DEFAULT_POLICY, size: int = CHUNK
) -> Iterator[Chunk]:
    """Score the next samples of series; the figures are those of `score_batch`, and the chunks of a series in order.

    Raises ValueError for samples that break the rules of `Unscored`.
    """
    memories = [one.memory for one in series]
    for first in range(0, max((len(one.times) for one in series), default=0), size):
        going_on = [number for number, one in enumerate(series) if len(one.times) > first]
        asked = [
            Unscored(series[n].times[first : first + size], series[n].values[first : first + size], memories[n])
            for n in going_on
        ]
        for number, scored in zip(going_on, score_batch(model, asked, policy), strict=True):
            memory = with_rings(scored.memory, memories[number])
            memories[number] = memory
            yield Chunk(number, first, scored, memory)
