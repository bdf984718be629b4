"""The whole of `sensus up`, as a user sees it."""
