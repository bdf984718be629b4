"""What becomes of changed alerts and new anomalies?  Each joins an incident, and the incident shows it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from db.models.incident import Incident
from db.queries import incidents, members, ungrouped
from db.queries.incidents import Entry, NewMember, PictureRow
from db.queries.members import Active, MemberAlert, MemberAnomaly
from db.queries.ungrouped import AlertChange, AlertSeen, AnomalySeen
from llm.grouping import Grouping, Joined, Known, Rules, group
from llm.incident import Member, Picture, picture, together
from llm.places import Place, place_of
from llm.sightings import Sighting
from llm.topology import Topology
from sensus import times

_RULES = Rules()
# How far around the newcomers' beginnings incidents are looked for.
_AROUND = timedelta(seconds=_RULES.flaps_for_s)
# Who fires again so soon after the end flaps: the incident is open again, and there is no more to be said of it.
FLAP = timedelta(minutes=5)
# So many series of one place must be strange at once to make an incident that no alert tells of.
SERIES_TO_OPEN = 3
_SAYING = 300


@dataclass(slots=True)
class Outcome:
    """What changed, as ids of incidents; `joined` counts members."""

    opened: list[int] = field(default_factory=list)
    grown: list[int] = field(default_factory=list)
    reopened: list[int] = field(default_factory=list)
    merged: list[int] = field(default_factory=list)
    joined: int = 0

    def counts(self) -> dict[str, int]:
        """How many incidents changed, by the kind of change."""
        return {
            "opened": len(self.opened),
            "grown": len(self.grown),
            "reopened": len(self.reopened),
            "merged": len(self.merged),
        }


class Joining:
    """One portion of newcomers, in one transaction of its caller."""

    def __init__(self, session: Session, topology: Topology, service_labels: Sequence[str], *, request_id: str) -> None:
        self._session = session
        self._topology = topology
        self._service_labels = tuple(service_labels)
        self._request_id = request_id
        self._entries: list[Entry] = []
        self._outcome = Outcome()

    def take_changes(self, changes: Sequence[AlertChange]) -> Outcome:
        """Take in changes of alerts: new ones join, known ones tell their incident."""
        seen = ungrouped.alerts(self._session, sorted({change.alert_id for change in changes}))
        new = [alert for alert in seen.values() if alert.incident_id is None]
        if new:
            self._join_alerts(new)
        self._tell(changes, seen)
        incidents.note(self._session, self._entries)
        ungrouped.take_changes(self._session, [change.id for change in changes])
        return self._outcome

    def take_anomalies(self, anomalies: Sequence[AnomalySeen]) -> Outcome:
        """Let anomalies join; those that belong nowhere yet go on waiting until they are too old."""
        sightings = [self._of_anomaly(anomaly) for anomaly in anomalies]
        active = self._active(sightings)
        result = group(sightings, self._known(active), self._topology, _RULES)
        by_id = {anomaly.id: anomaly for anomaly in anomalies}
        openers = _telling_groups(result, by_id)
        joined = [each for each in result.joined if each.incident > 0 or each.incident in openers]
        pairs = [(each, _anomaly_member(by_id[each.key], self._place(by_id[each.key].labels))) for each in joined]
        # Two incidents are not one because of what a single series does.
        ids = self._show(Grouping(tuple(joined), ()), pairs, active, fires=openers)
        self._add_members(joined, ids, {}, by_id)
        incidents.note(self._session, self._entries)
        ungrouped.take_anomalies(self._session, [each.key for each in joined])
        return self._outcome

    def _join_alerts(self, new: Sequence[AlertSeen]) -> None:
        sightings = [self._of_alert(alert) for alert in new]
        active = self._active(sightings)
        result = group(sightings, self._known(active), self._topology, _RULES)
        by_id = {alert.id: alert for alert in new}
        self._merge(result, active)
        firing = _firing_since(result.joined, by_id)
        pairs = [(each, _alert_member(by_id[each.key], self._place(by_id[each.key].labels))) for each in result.joined]
        ids = self._show(result, pairs, active, fires=set(firing))
        self._add_members(result.joined, ids, by_id, {})
        self._reopen({ids[key]: since for key, since in firing.items() if key > 0}, active.incidents)

    def _merge(self, result: Grouping, active: Active) -> None:
        for each in result.merged:
            gone, into = active.incidents[each.from_id], active.incidents[each.into_id]
            incidents.merge(self._session, gone.id, into.id)
            at = times.now()
            self._entry(gone.id, "merged", at, note=f"it is one with incident {into.id}", into=into.id)
            self._entry(into.id, "merged", at, note=f"incident {gone.id} belongs to it", of=gone.id)
            united = together(_picture_of(into), _picture_of(gone))
            self._store_picture(into, united)
            if into.status == "resolved" and gone.status != "resolved":
                self._reopen({into.id: gone.active_since}, active.incidents)
            self._outcome.merged.append(gone.id)

    def _show(
        self, result: Grouping, pairs: Iterable[tuple[Joined, Member]], active: Active, *, fires: set[int]
    ) -> dict[int, int]:
        """Let each incident show its new members; the ids of all of them, also of those that are opened here."""
        fresh: dict[int, Picture] = {}
        for each, member in pairs:
            one = picture(member)
            fresh[each.incident] = together(fresh[each.incident], one) if each.incident in fresh else one
        ids: dict[int, int] = {}
        grew: list[int] = []
        for key in sorted(fresh, key=lambda key: (key < 0, fresh[key].opened_at, key)):
            shown = fresh[key]
            if key < 0:
                ids[key] = incidents.create(self._session, _row(shown), fires=key in fires)
                self._entry(ids[key], "opened", shown.opened_at, note=shown.title)
                self._outcome.opened.append(ids[key])
                continue
            ids[key] = key
            before = _picture_of(active.incidents[key])
            after = together(before, shown)
            self._store_picture(active.incidents[key], after)
            if after.shows_more_than(before):
                grew.append(key)
        merged_into = {each.into_id for each in result.merged}
        self._grow(sorted({*grew, *merged_into}))
        return ids

    def _store_picture(self, incident: Incident, shown: Picture) -> None:
        incidents.show(self._session, incident.id, _row(shown))
        self._session.refresh(incident)

    def _grow(self, ids: Sequence[int]) -> None:
        if ids:
            incidents.grow(self._session, ids)
            self._outcome.grown += ids
            at = times.now()
            for incident_id in ids:
                self._entry(incident_id, "grown", at)

    def _add_members(
        self,
        joined: Iterable[Joined],
        ids: Mapping[int, int],
        alerts: Mapping[int, AlertSeen],
        anomalies: Mapping[int, AnomalySeen],
    ) -> None:
        rows = [NewMember(each.key, ids[each.incident], each.reason, each.strength) for each in joined]
        incidents.join(self._session, rows if alerts else (), rows if anomalies else ())
        for row in rows:
            if row.id in alerts:
                alert = alerts[row.id]
                self._entry(
                    row.incident_id, "alert_joined", alert.starts_at,
                    note=row.reason, alert_id=alert.id, alert_name=alert.alert_name,
                )  # fmt: skip
            else:
                anomaly = anomalies[row.id]
                self._entry(
                    row.incident_id, "anomaly_joined", anomaly.at,
                    note=row.reason, analysis_id=anomaly.id, metric_name=anomaly.metric_name,
                )  # fmt: skip
        self._outcome.joined += len(rows)

    def _tell(self, changes: Sequence[AlertChange], seen: Mapping[int, AlertSeen]) -> None:
        """What happened to alerts that are members already."""
        back: dict[int, datetime] = {}
        for change in changes:
            alert = seen.get(change.alert_id)
            if alert is None or alert.incident_id is None:
                continue
            facts: dict[str, Any] = {"alert_id": alert.id, "alert_name": alert.alert_name}
            if change.change == "resolved":
                self._entry(alert.incident_id, "alert_resolved", alert.ends_at or change.at, **facts)
            elif change.change in ("reopened", "firing"):
                self._entry(alert.incident_id, "alert_reopened", change.at, **facts)
                if alert.status == "firing":
                    back[alert.incident_id] = min(change.at, back.get(alert.incident_id, change.at))
        if back:
            self._reopen(back, {id_: incidents.lock(self._session, id_) for id_ in sorted(back)})

    def _reopen(self, since: Mapping[int, datetime], known: Mapping[int, Incident]) -> None:
        """Open again what is over; one that flaps, or was not over when this began, is in its old outbreak still."""
        at = times.now()
        over = {id_: known[id_] for id_ in since if known[id_].status == "resolved"}
        quiet = {id_ for id_, one in over.items() if one.resolved_at is None or at - one.resolved_at > FLAP}
        new = {id_ for id_ in quiet if (end := over[id_].resolved_at) is None or since[id_] > end}
        began = {id_: since[id_] if id_ in new else one.active_since for id_, one in sorted(over.items())}
        opened = incidents.reopen(self._session, began) if began else []
        for incident_id in opened:
            self._entry(incident_id, "reopened", at)
        self._outcome.reopened += opened
        self._grow([id_ for id_ in opened if id_ in quiet and id_ not in self._outcome.grown])

    def _active(self, sightings: Sequence[Sighting]) -> Active:
        starts = [one.at for one in sightings]
        since, until = (datetime.fromtimestamp(at, tz=times.EPOCH.tzinfo) for at in (min(starts), max(starts)))
        return members.active(self._session, since=since - _AROUND, until=until + _AROUND)

    def _known(self, active: Active) -> list[Known]:
        found: dict[int, list[Sighting]] = defaultdict(list)
        for incident_id, alerts in active.alerts.items():
            found[incident_id] += [self._of_alert(alert) for alert in alerts]
        for incident_id, anomalies in active.anomalies.items():
            found[incident_id] += [self._of_anomaly(anomaly) for anomaly in anomalies]
        return [
            Known(incident_id, tuple(its), _ended(active.incidents[incident_id]))
            for incident_id, its in sorted(found.items())
        ]

    def _of_alert(self, alert: AlertSeen | MemberAlert) -> Sighting:
        return Sighting(
            key=alert.id,
            fingerprint=alert.fingerprint,
            name=alert.alert_name,
            place=self._place(alert.labels),
            at=times.to_epoch(alert.starts_at),
            group=alert.group_key,
            text=" ".join(alert.annotations.values())[:2000],
        )

    def _of_anomaly(self, anomaly: AnomalySeen | MemberAnomaly) -> Sighting:
        return Sighting(
            key=anomaly.id,
            fingerprint=f"series {anomaly.series_id}",
            name=f"unusual {anomaly.metric_name}",
            place=self._place(anomaly.labels),
            at=times.to_epoch(anomaly.at),
        )

    def _place(self, labels: Mapping[str, str]) -> Place:
        return place_of(labels, self._service_labels)

    def _entry(self, incident_id: int, change: str, at: datetime, note: str | None = None, **facts: Any) -> None:
        self._entries.append(
            Entry(incident_id=incident_id, change=change, at=at, note=note, facts=facts, request_id=self._request_id)
        )


def _firing_since(joined: Iterable[Joined], alerts: Mapping[int, AlertSeen]) -> dict[int, datetime]:
    """By incident, since when the first of those that join it and fire does so."""
    since: dict[int, datetime] = {}
    for each in joined:
        alert = alerts[each.key]
        if alert.status == "firing":
            since[each.incident] = min(alert.starts_at, since.get(each.incident, alert.starts_at))
    return since


def _telling_groups(result: Grouping, anomalies: Mapping[int, AnomalySeen]) -> set[int]:
    """The groups that no alert told of, and that are telling enough to be incidents."""
    series: dict[int, set[int]] = defaultdict(set)
    for each in result.joined:
        if each.incident < 0:
            series[each.incident].add(anomalies[each.key].series_id)
    return {key for key, its in series.items() if len(its) >= SERIES_TO_OPEN}


def _alert_member(alert: AlertSeen, place: Place) -> Member:
    said = alert.annotations.get("summary") or alert.description or ""
    return Member(
        alert_id=alert.id,
        name=alert.alert_name,
        service=place.name,
        severity=alert.severity,
        labels=alert.labels,
        said=said[:_SAYING],
        began_at=alert.starts_at,
        ended_at=alert.ends_at if alert.status == "resolved" else None,
    )


def _anomaly_member(anomaly: AnomalySeen, place: Place) -> Member:
    return Member(
        alert_id=None,
        name=f"unusual {anomaly.metric_name}",
        service=place.name,
        severity=None,
        labels=anomaly.labels,
        said="",
        began_at=anomaly.at,
        ended_at=None,
    )


def _picture_of(incident: Incident) -> Picture:
    return Picture(
        title=incident.title,
        severity=incident.severity,
        opened_at=incident.opened_at,
        last_activity_at=incident.last_activity_at,
        lead_alert_id=incident.lead_alert_id,
        lead_began_at=incident.opened_at,
        said=incident.summary,
        labels=incident.labels,
        services=tuple(incident.services),
        alert_names=tuple(incident.alert_names),
    )


def _row(shown: Picture) -> PictureRow:
    return PictureRow(
        title=shown.title,
        summary=shown.said,
        severity=shown.severity,
        opened_at=shown.opened_at,
        last_activity_at=shown.last_activity_at,
        lead_alert_id=shown.lead_alert_id,
        labels=shown.labels,
        services=shown.services,
        alert_names=shown.alert_names,
        lexemes=shown.lexemes,
    )


def _ended(incident: Incident) -> float | None:
    return None if incident.resolved_at is None else times.to_epoch(incident.resolved_at)
