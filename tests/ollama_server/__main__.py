"""Serve until stopped, on the port and with the play given."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from tests.ollama_server.server import OllamaServer


def main() -> None:
    """Print the URL, then serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.ollama_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--models", default="llama2:latest", help="names, by commas")
    parser.add_argument("--play", default="normal", help="plays, by commas; the last one goes on for ever")
    given = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with OllamaServer(tuple(given.models.split(",")), given.play, port=given.port) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        stop.wait()


if __name__ == "__main__":
    main()
