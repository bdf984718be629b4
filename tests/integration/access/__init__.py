"""Who may do what, on real servers."""
