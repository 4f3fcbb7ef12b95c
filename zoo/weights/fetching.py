"""Stand-in until the branch of the same name is merged."""


def cached(name: str) -> None:
    """Finds nothing."""


def fetch(name: str) -> None:
    """Fetches nothing."""
