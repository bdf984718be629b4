"""Which alert is this?  The fingerprint of its labels, as Prometheus and Alertmanager compute it."""

from __future__ import annotations

from collections.abc import Mapping

_OFFSET = 14695981039346656037
_PRIME = 1099511628211
_MASK = (1 << 64) - 1
_SEPARATOR = b"\xff"  # occurs in no UTF-8 text


def of_labels(labels: Mapping[str, str]) -> str:
    """Sixteen hexadecimal digits: FNV-1a over all labels, by name.

    Source: `LabelSet.Fingerprint` of prometheus/common/model.
    """
    text = b"".join(
        part
        for name, value in sorted((name.encode(), value.encode()) for name, value in labels.items())
        for part in (name, _SEPARATOR, value, _SEPARATOR)
    )
    digest = _OFFSET
    for byte in text:
        digest = ((digest ^ byte) * _PRIME) & _MASK
    return f"{digest:016x}"
