"""How many new series may this caller still make?  Counted by the hour, for all processes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from db import direct
from db.direct import Within

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is granted of what was asked for; at `renewed_at` the count begins anew."""

    granted: int
    renewed_at: datetime


def take(within: Within, caller: str, wanted: int, *, most: int) -> Allowance:
    """Ask for so many new series, of which `most` are granted in an hour.

    Counts only if the transaction commits; until then other requests of this caller that make series wait.
    """
    hour = {"caller": caller, "wanted": wanted, "hour": HOUR}
    # Who has none left comes again with every sample, and shall not wait for a lock to hear so.
    left = direct.execute(within, _ASKED, hour).fetchone()
    if left is not None and left[0] >= most:
        return Allowance(0, left[1] + HOUR)
    asked, since = direct.execute(within, _ASK, hour).fetchall()[0]
    before = asked - wanted
    return Allowance(max(0, min(wanted, most - before)), since + HOUR)


_ASKED = "SELECT asked, since FROM new_series_counts WHERE caller = %(caller)s AND since > now() - %(hour)s"
_ASK = """
    INSERT INTO new_series_counts AS counted (caller, since, asked) VALUES (%(caller)s, now(), %(wanted)s)
    ON CONFLICT (caller) DO UPDATE SET
        since = CASE WHEN counted.since > now() - %(hour)s THEN counted.since ELSE now() END,
        asked = CASE WHEN counted.since > now() - %(hour)s THEN counted.asked ELSE 0 END + excluded.asked
    RETURNING asked, since
    """
