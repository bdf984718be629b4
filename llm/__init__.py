"""Evidence in, root cause out: pure, but for the one HTTP call of `llm.client`."""
