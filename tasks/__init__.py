"""Workers: claim, compute or ask, keep."""
