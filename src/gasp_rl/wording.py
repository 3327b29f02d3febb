"""Numbers in sentences."""


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 question`, `2 questions`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
