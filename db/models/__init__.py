"""The tables, by noun."""

from db.models.access import ApiKey, AuditRecord, Installation, OutboxEntry, User
from db.models.alert import Alert, AlertHistory, Quarantined
from db.models.analysis import AnalysisFeedback, AnalysisResult, ChangeEvent
from db.models.detection import AnomalyFeedback, DetectorChoice, Forecast
from db.models.listing import AlertListing, AlertmanagerReading
from db.models.model_version import ModelVersion, TaskRun
from db.models.sample import NewSeriesCount, SampleArrival, Series, SeriesProgress, samples, scores, shadow_scores

__all__ = [
    "Alert",
    "AlertHistory",
    "AlertListing",
    "AlertmanagerReading",
    "AnalysisFeedback",
    "AnalysisResult",
    "AnomalyFeedback",
    "ApiKey",
    "AuditRecord",
    "ChangeEvent",
    "DetectorChoice",
    "Forecast",
    "Installation",
    "ModelVersion",
    "NewSeriesCount",
    "OutboxEntry",
    "Quarantined",
    "SampleArrival",
    "Series",
    "SeriesProgress",
    "TaskRun",
    "User",
    "samples",
    "scores",
    "shadow_scores",
]
