"""Storms of alerts whose incidents are known, to measure how well alerts are put together."""
