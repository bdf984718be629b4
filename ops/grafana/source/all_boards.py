"""All dashboards, as the text of their files."""

from __future__ import annotations

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from ops.grafana.source import incidents, models, overview, scores, work

_BOARDS = (
    (overview.UID, overview.overview),
    (incidents.UID, incidents.incidents),
    (scores.UID, scores.scores),
    (work.UID, work.work),
    (models.UID, models.models),
)


def written() -> dict[str, str]:
    """The text of each file, by its name."""
    return {
        f"{uid}.json": json.dumps(made(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        for uid, made in _BOARDS
    }
