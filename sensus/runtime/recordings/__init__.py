"""A recorded incident: its series, alerts and changes."""
