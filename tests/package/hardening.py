"""What does checkov say of an overlay, less what is so for a reason?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What the scanner would have otherwise, and why it is not so.
ACCEPTED = {
    "CKV_K8S_15": "an image is asked for by its version, which is never pushed again; a registry that is away must not "
    "keep a pod from starting where its image is at hand",
    "CKV_K8S_43": "a digest is that of the registry from which somebody pulls; an overlay sets it",
}
# The images of others have users of their own.
ACCEPTED_OF_OTHERS = {"CKV_K8S_40": "data and files of these images belong to the users that they were made with"}
OTHERS = frozenset(
    {
        "StatefulSet.sensus.postgres",
        "StatefulSet.sensus.redis",
    }
)
FEWEST_CHECKS = 500


def judge(report: Mapping[str, Any]) -> tuple[int, list[str]]:
    """How many checks passed, and what is wrong, a line each.  A scanner that read nothing finds nothing wrong."""
    summary = report["summary"]
    if summary["parsing_errors"] or summary["skipped"] or summary["passed"] < FEWEST_CHECKS:
        return summary["passed"], [f"the scanner did not do its work: {summary}"]
    wrong = [
        f"{each['resource']}: {each['check_id']} {each['check_name']}"
        for each in report["results"]["failed_checks"]
        if each["check_id"] not in ACCEPTED
        and not (each["check_id"] in ACCEPTED_OF_OTHERS and each["resource"] in OTHERS)
    ]
    return summary["passed"], wrong
