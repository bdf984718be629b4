"""The check of what looks after Sensus, with the real programs: `make ops-check`."""
