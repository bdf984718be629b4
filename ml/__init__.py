"""Samples in, scores out: pure computation, no clock, no rows, no network."""
