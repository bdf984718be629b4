"""An incident in a made system of services that call each other: one of them breaks, and its callers suffer."""

from __future__ import annotations

import numpy as np

from ml.rootcause.incident import Alert, FloatArray, Incident

METRICS = (
    "request_rate", "latency_p99", "error_rate", "cpu_usage", "memory_working_set", "network_receive_bytes",
    "open_fds", "disk_io_wait", "queue_length", "restarts",
)  # fmt: skip
STEP_S = 30.0
START = 1_764_000_000.0
# What a fault does to the metrics of the broken service, as factors of what is usual.
FAULTS = {
    "cpu": {"cpu_usage": 3.0, "latency_p99": 2.5},
    "memory": {"memory_working_set": 2.5, "restarts": 8.0, "error_rate": 6.0},
    "slow": {"latency_p99": 6.0},
    "failing": {"error_rate": 12.0},
    "disk": {"disk_io_wait": 9.0, "latency_p99": 3.0},
}
_USUAL = (120.0, 0.08, 0.4, 0.3, 4e8, 2e6, 60.0, 0.02, 3.0, 0.2)


def services_of(metrics: int) -> list[str]:
    """As many services as have so many metrics together."""
    return [f"service-{number:03}" for number in range(max(2, metrics // len(METRICS)))]


def calls_of(services: list[str], rng: np.random.Generator) -> tuple[tuple[str, str], ...]:
    """Each service but the first is called by one to three of those before it."""
    calls: set[tuple[str, str]] = set()
    for place in range(1, len(services)):
        for _ in range(int(rng.integers(1, 4))):
            calls.add((services[int(rng.integers(max(0, place - 12), place))], services[place]))
    return tuple(sorted(calls))


def incident(
    seed: int, metrics: int, *, fault: str = "slow", before: int = 360, during: int = 30
) -> tuple[str, Incident]:
    """The broken service, and what is measured: `before` and `during` are numbers of samples."""
    rng = np.random.default_rng(seed)
    services = services_of(metrics)
    calls = calls_of(services, rng)
    broken = services[int(rng.integers(len(services) // 3, len(services)))]
    times = START + STEP_S * np.arange(-before, during)
    values = _usual(rng, len(services), len(times))
    _break(values, services.index(broken), FAULTS[fault], before)
    reached = {broken}
    for _ in range(4):
        reached |= {caller for caller, callee in calls if callee in reached}
    symptom = {"error_rate": 3.0} if fault == "failing" else {"latency_p99": 1.8}
    for name in reached - {broken}:
        _break(values, services.index(name), symptom, before + 1)
    entry = services[0] if services[0] in reached else sorted(reached)[0]
    return broken, Incident(
        times=np.asarray(times, dtype=np.float64),
        values=values.reshape(len(times), -1),
        series=tuple((service, metric) for service in services for metric in METRICS),
        start=START,
        alert=Alert(entry, next(iter(symptom)), START),
        calls=calls,
    )


def _usual(rng: np.random.Generator, services: int, points: int) -> FloatArray:
    """Noise around each metric's level, with a slow wave that all services share."""
    wave = 1.0 + 0.1 * np.sin(np.linspace(0.0, 6.0, points))[:, None, None]
    level = np.asarray(_USUAL) * rng.uniform(0.5, 2.0, (1, services, len(_USUAL)))
    noise = rng.normal(1.0, 0.08, (points, services, len(_USUAL)))
    return np.asarray(level * wave * np.abs(noise), dtype=np.float64)


def _break(values: FloatArray, service: int, factors: dict[str, float], since: int) -> None:
    for name, factor in factors.items():
        values[since:, service, METRICS.index(name)] *= factor
