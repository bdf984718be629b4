"""The tables, by noun."""

from db.models.access import ApiKey, AuditRecord, Installation, OutboxEntry, User
from db.models.alert import Alert, AlertHistory, Quarantined
from db.models.analysis import AnalysisFeedback, AnalysisResult, ChangeEvent
from db.models.anomaly_alert import AnomalyAlert
from db.models.detection import AnomalyFeedback, DetectorChoice, Forecast
from db.models.incident import (
    GroupingPosition,
    Incident,
    IncidentAlert,
    IncidentAnomaly,
    IncidentHistory,
    LateChange,
    Notification,
)
from db.models.listing import AlertListing, AlertmanagerReading
from db.models.model_version import ModelVersion, TaskRun
from db.models.runbook import RunbookSection
from db.models.sample import NewSeriesCount, SampleArrival, Series, SeriesProgress, samples, scores, shadow_scores
from db.models.topology import TopologyEdge

__all__ = [
    "Alert",
    "AlertHistory",
    "AlertListing",
    "AlertmanagerReading",
    "AnalysisFeedback",
    "AnalysisResult",
    "AnomalyAlert",
    "AnomalyFeedback",
    "ApiKey",
    "AuditRecord",
    "ChangeEvent",
    "DetectorChoice",
    "Forecast",
    "GroupingPosition",
    "Incident",
    "IncidentAlert",
    "IncidentAnomaly",
    "IncidentHistory",
    "Installation",
    "LateChange",
    "ModelVersion",
    "NewSeriesCount",
    "Notification",
    "OutboxEntry",
    "Quarantined",
    "RunbookSection",
    "SampleArrival",
    "Series",
    "SeriesProgress",
    "TaskRun",
    "TopologyEdge",
    "User",
    "samples",
    "scores",
    "shadow_scores",
]
