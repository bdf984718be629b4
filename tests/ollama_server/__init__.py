"""A stand-in for the Ollama server that speaks its real wire protocol and can misbehave in all the known ways.

    with OllamaServer(models=("llama2:latest",), play=["503", "normal"]) as server:
        ask(server.url)
        server.requests[-1].body["options"]["num_ctx"]

As a process: `python -m tests.ollama_server --port 0 --play normal` prints its URL; `POST /_control {"play": ["hang"]}`
changes the play, `GET /_requests` lists what was asked.
"""

from tests.ollama_server.plays import PLAYS
from tests.ollama_server.server import OllamaServer, Received

__all__ = ["PLAYS", "OllamaServer", "Received"]
