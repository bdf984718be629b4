"""How likely is the first suspect right?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ml.rootcause.kinds import SPEAKING
from ml.rootcause.services import Scored

# Logistic regression on the development cases, their weakened, thinned and late versions, fault-free windows and a
# simulated system; docs/rootcause.md tells how well it holds.
CONFIDENCE_INTERCEPT = -2.3


CONFIDENCE_LEAD = 2.5  # per unit of log(1 + lead of the first over the second)


CONFIDENCE_SPEAKS = 2.4  # for evidence that tells cause from consequence


# The lead over the second of several says how far the first stands out of the noise; with fewer there is none to lead.
ENOUGH_TO_COMPARE = 3


def confidence_of(scored: Sequence[Scored], *, has_graph: bool, noise: float) -> float:
    """Chance that the first is right: from its lead, and whether the evidence can tell a cause from a consequence.

    Slowness and failures spread: without a call graph they say little about where they began, while resources,
    silence and calls that stop speak for the service they are seen at. Where there are few suspects, `noise` is the
    score that the first has when nothing is wrong: its lead is counted from there, and evidence only beyond it.
    """
    first = scored[0]
    lead = first.score - max(noise, scored[1].score if len(scored) > 1 else 0.0)
    total = sum(piece.value for piece in first.pieces.values())
    own = sum(piece.value for kind, piece in first.pieces.items() if kind in SPEAKING)
    speaks = 1.0 if has_graph else own / total if total > 0 else 0.0
    speaks *= min(1.0, max(first.score - noise, 0.0))  # next to no evidence speaks for nobody
    logit = CONFIDENCE_INTERCEPT + CONFIDENCE_LEAD * math.log1p(max(lead, 0.0)) + CONFIDENCE_SPEAKS * speaks
    return 1 / (1 + math.exp(-logit))
