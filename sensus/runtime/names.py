"""What are the processes of the stack called?  Without anything that takes time to import."""

from __future__ import annotations

QUEUES = ("anomaly", "llm", "maintenance")
SERVERS = ("postgres", "redis")
OURS = ("web", *(f"worker-{queue}" for queue in QUEUES), "beat", "flower")
NAMES = (*SERVERS, *OURS)
