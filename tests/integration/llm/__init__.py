"""Tests of the analyst against the stand-in for Ollama, over a real socket."""
