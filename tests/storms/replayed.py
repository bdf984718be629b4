"""A storm put together as the worker does it: portion by portion, in the order of arrival, with no database."""

from __future__ import annotations

from collections import defaultdict

from llm.grouping import Known, group
from llm.places import place_of
from llm.sightings import Sighting
from llm.topology import Topology
from sensus import fingerprint
from tests.storms.judged import Judgement, judge
from tests.storms.made import NOISE, MadeAlert, Storm

PORTION = 60


def truth(storm: Storm) -> list[object]:
    """Where each alert belongs; noise belongs to itself, and to its own repeats."""
    return [
        fingerprint.of_labels(alert.labels) if alert.incident == NOISE else alert.incident for alert in storm.alerts
    ]


def sighting(key: int, alert: MadeAlert) -> Sighting:
    """The alert as grouping sees it."""
    return Sighting(
        key=key,
        fingerprint=fingerprint.of_labels(alert.labels),
        name=alert.labels["alertname"],
        place=place_of(alert.labels),
        at=alert.starts_at.timestamp(),
        group=alert.group_key,
        text=" ".join(alert.annotations.values()),
    )


def put_together(storm: Storm, *, portion: int = PORTION) -> list[int]:
    """The incident of each alert."""
    topology = Topology(storm.calls, storm.runs_on)
    waiting = [sighting(key, alert) for key, alert in enumerate(storm.alerts)]
    members: dict[int, list[Sighting]] = defaultdict(list)
    opened = 0
    for first in range(0, len(waiting), portion):
        newcomers = waiting[first : first + portion]
        result = group(newcomers, [Known(id_, tuple(its)) for id_, its in members.items()], topology)
        for merged in result.merged:
            members[merged.into_id] += members.pop(merged.from_id)
        ids: dict[int, int] = {}
        for joined in result.joined:
            if joined.incident < 0 and joined.incident not in ids:
                opened += 1
                ids[joined.incident] = opened
            members[ids.get(joined.incident, joined.incident)].append(waiting[joined.key])
    found = {one.key: id_ for id_, its in members.items() for one in its}
    return [found[key] for key in range(len(waiting))]


def judgement(storm: Storm) -> Judgement:
    """How well the storm was put together."""
    return judge(truth(storm), put_together(storm))
