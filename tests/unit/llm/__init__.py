"""Tests of the analyst that open no socket."""
