"""SQL by noun: each function takes a Session and leaves the commit to its caller."""
