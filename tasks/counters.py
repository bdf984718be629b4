"""Which series are counters, so that they are judged by their growth per second?"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.orm import Session

from db.queries import series
from ml.counters import is_counter, partner_of


def among(session: Session, metric_names: Collection[str]) -> frozenset[str]:
    """Those of these names that counters have, by what else there is."""
    partners = {partner for name in metric_names if (partner := partner_of(name)) is not None}
    there = series.names_there(session, partners) if partners else frozenset()
    return frozenset(name for name in metric_names if is_counter(name, there))
