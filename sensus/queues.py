"""How many messages wait for the workers, and from when on is another one of no use?"""

from __future__ import annotations

import redis

# A worker takes in with one message what many tell, and a queue without an end fills the memory of Redis in hours.
ENOUGH = 200


def length(client: redis.Redis, queue: str) -> int:
    """How many messages wait in a queue; with Redis as the broker, a queue is a list of its name."""
    return int(client.llen(queue))
