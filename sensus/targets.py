"""Where do finished analyses go?  Each URL by a name that tells none of its secrets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apprise import AppriseAsset, NotifyBase


@dataclass(frozen=True, slots=True)
class Target:
    """One place to send to.  Its URL stays out of logs, answers and errors."""

    name: str
    url: str = field(repr=False)


def targets(urls: Sequence[str]) -> tuple[Target, ...]:
    """The targets in their order: named by kind, from the second of a kind on with its number, such as `slack-2`.

    Not by anything of the URL itself: what waits for a target must reach it after its password has changed.
    """
    seen: Counter[str] = Counter()
    found = []
    for url in urls:
        kind = url.partition("://")[0].lower()
        seen[kind] += 1
        found.append(Target(kind if seen[kind] == 1 else f"{kind}-{seen[kind]}", url))
    return tuple(found)


def service(url: str, asset: AppriseAsset | None = None) -> NotifyBase | None:
    """What Apprise makes of a URL; None when it doesn't understand it."""
    # Imported when it is needed: most processes send nothing, and it takes half a second.
    import apprise

    made = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    return made if isinstance(made, apprise.NotifyBase) else None
