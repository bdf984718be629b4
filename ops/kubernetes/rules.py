"""The rules of Prometheus as an object of its operator: `python -m ops.kubernetes.rules` writes it anew."""

from __future__ import annotations

from pathlib import Path

import yaml

OPS = Path(__file__).parent.parent
RULES = OPS / "prometheus" / "rules"
OBJECT = OPS / "kubernetes" / "components" / "monitoring" / "rules.yaml"
_HEAD = """\
# Made by `make rules` from ops/prometheus/rules; edit those.
"""


def written() -> str:
    """The text of the object."""
    groups = [
        group for path in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
    ]
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "sensus"},
        "spec": {"groups": groups},
    }
    return _HEAD + yaml.safe_dump(rule, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    OBJECT.write_text(written(), "utf-8")
