"""Sensus: alert history, measured anomaly detection and offline root-cause analysis beside Prometheus."""

__version__ = "0.1.0"
