"""What of the committed configuration is other in the check?  Addresses, the key's place, and times; nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.containers.tools import ROOT

PROMETHEUS = ROOT / "ops" / "prometheus"
ALERTMANAGER = ROOT / "ops" / "alertmanager" / "alertmanager.yml"
SCRAPE_S = 2
# How much shorter the check's time is; a range keeps enough scrapes for a rate.
FACTOR = 30
_LEAST_RANGE_S = 5 * SCRAPE_S
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# Ages at which alerts begin, by alert: seconds of the rule, and of the check.
_AGES = {
    "ScoringBehind": (600, 20),
    "GroupingBehind": (300, 10),
    "NotificationsUntold": (600, 20),
    "AuditStreamDown": (300, 10),
    "AnomalyAlertsUntold": (120, 10),
}
_DURATION = re.compile(r"(\d+)([smhd])")

Addresses = Mapping[str, str]


def prometheus(folder: Path, addresses: Addresses) -> Path:
    """The configuration and its rules in `folder`, for targets at these addresses (`api:8080` to where it is here)."""
    config = yaml.safe_load(_placed((PROMETHEUS / "prometheus.yml").read_text("utf-8"), addresses))
    config["global"] = {
        "scrape_interval": f"{SCRAPE_S}s",
        "evaluation_interval": f"{SCRAPE_S}s",
        # The celery exporter asks the workers and waits two seconds for answers.
        "scrape_timeout": f"{SCRAPE_S}s",
    }
    for job in config["scrape_configs"]:
        if job["job_name"] == "celery":
            job |= {"scrape_interval": "5s", "scrape_timeout": "5s"}
    (folder / "rules").mkdir()
    for path in (PROMETHEUS / "rules").glob("*.yml"):
        rules = yaml.safe_load(path.read_text("utf-8"))
        for group in rules["groups"]:
            for rule in group["rules"]:
                _shorten(rule)
        (folder / "rules" / path.name).write_text(yaml.safe_dump(rules))
    made = folder / "prometheus.yml"
    made.write_text(yaml.safe_dump(config))
    return made


def alertmanager(folder: Path, addresses: Addresses, key: str, people: str) -> Path:
    """The configuration with a key's file of its own; what goes to people goes to this address, and back to Sensus."""
    (folder / "sensus-key").write_text(key)
    text = _placed(ALERTMANAGER.read_text("utf-8"), addresses)
    config = yaml.safe_load(text.replace("/etc/alertmanager/sensus-key", str(folder / "sensus-key")))
    config["route"] |= {"group_wait": "1s", "group_interval": "2s"}
    receivers = {receiver["name"]: receiver for receiver in config["receivers"]}
    to_sensus = receivers["sensus"]["webhook_configs"]
    receivers["people"]["webhook_configs"] = [{"url": people, "send_resolved": True}, *to_sensus]
    made = folder / "alertmanager.yml"
    made.write_text(yaml.safe_dump(config))
    return made


def _placed(text: str, addresses: Addresses) -> str:
    for name, address in addresses.items():
        text = text.replace(name, address)
    return text


def _shorten(rule: dict[str, Any]) -> None:
    if name := rule.get("alert"):
        rule["for"] = _shorter(rule.get("for", "0s"), least_s=0)
        if name in _AGES:
            is_s, becomes_s = _AGES[name]
            assert f"> {is_s}" in rule["expr"], f"{name} no longer begins at {is_s} s"
            rule["expr"] = rule["expr"].replace(f"> {is_s}", f"> {becomes_s}")
    rule["expr"] = re.sub(r"\[(\w+)\]", lambda found: f"[{_shorter(found[1], least_s=_LEAST_RANGE_S)}]", rule["expr"])


def _shorter(duration: str, *, least_s: int) -> str:
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in _DURATION.findall(duration))
    return f"{max(seconds // FACTOR, least_s)}s"
