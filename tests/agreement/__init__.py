"""Names that live in two places stay the same in both."""
