"""Private servers and the supervisor behind `sensus up`."""
