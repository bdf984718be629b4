"""What is kept of one try to explain an alert?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["model", "evidence_only", "insufficient"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """An explanation, who gave it, and how far it can be relied on."""

    outcome: Outcome
    model_name: str | None  # None when no model had a part in it
    root_cause: str
    mitigation: str
    analysis: str
    cited: tuple[str, ...]  # ids of the case's evidence; each exists
    suspect: str | None = None  # the service that is blamed; None when no cause is told
    confidence: float  # from 0 to 1, from our own figures
    question_digest: str
    reason: str | None = None  # why no model's answer is here, or what of it was withheld; one line for users
    tokens: int | None = None  # read and written, as the server counts
    duration_s: float = 0.0
    repaired: bool = False  # the first answer was refused, the second was of use
