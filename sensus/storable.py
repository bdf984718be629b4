"""What every item that is stored must keep to: how long names, values and lists may be, and no NUL."""

from __future__ import annotations

from collections.abc import Mapping

MOST_LABELS = 128
LABEL_NAME_BYTES = 256
# A name of an alert is a label's value and stands in an index, whose entries end at 2,704 bytes.
LABEL_VALUE_BYTES = 2_048
ANNOTATION_BYTES = 65_536
FINGERPRINT_BYTES = 128
URL_BYTES = 16_384
METRIC_NAME_CHARACTERS = 200
MOST_SAMPLES = 10_000


class NotStorable(ValueError):
    """One item breaks a rule; `reason` is a constant for counting, `field` the path of what is wrong."""

    def __init__(self, reason: str, field: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.field = field


def check_pairs(pairs: Mapping[str, str], field: str, *, value_bytes: int = LABEL_VALUE_BYTES) -> None:
    """Raises NotStorable unless these labels or annotations can be kept."""
    if _are_plainly_fine(pairs, value_bytes):
        return
    if len(pairs) > MOST_LABELS:
        raise NotStorable("too_many_labels", field, f"{len(pairs)} {field}; at most {MOST_LABELS} are kept")
    for name, value in pairs.items():
        if not name:
            raise NotStorable("empty_name", field, "a name is empty")
        check_text(name, field, LABEL_NAME_BYTES)
        check_text(value, f"{field}.{name}", value_bytes)


def _are_plainly_fine(pairs: Mapping[str, str], value_bytes: int) -> bool:
    """Whether one glance is enough; a character has four bytes at most."""
    if not pairs:
        return True
    values = pairs.values()
    return (
        len(pairs) <= MOST_LABELS
        and 4 * max(map(len, pairs)) <= LABEL_NAME_BYTES
        and 4 * max(map(len, values)) <= value_bytes
        and "" not in pairs
        and "\0" not in "".join(pairs)
        and "\0" not in "".join(values)
    )


def check_text(text: str, field: str, most_bytes: int) -> None:
    """Raises NotStorable unless the text can be kept."""
    if "\0" in text:
        # PostgreSQL has no such character.
        raise NotStorable("nul", field.replace("\0", "\\0"), "contains a NUL")
    if 4 * len(text) > most_bytes and len(text.encode()) > most_bytes:
        raise NotStorable("too_long", field[:100], f"longer than {most_bytes} bytes")
