"""The word lists that the checks of a model's answer go by, one file a list."""

from importlib import resources


def words(name: str) -> frozenset[str]:
    """The words of one list; lines that start with # say what it is for."""
    text = resources.files(__name__).joinpath(f"{name}.txt").read_text("utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())
