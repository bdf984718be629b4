"""HTTP only: parse, store, knock, answer."""
