"""Text that a model wrote, made inert for a terminal."""


def visible(text: str) -> str:
    """Every character that a terminal might act on becomes an escape; newlines and tabs stay.

    Control characters (ANSI sequences begin with one), bidirectional marks, zero-width
    characters and lone surrogates are written as Python escapes.

    Example::

        visible("a\\x1b[2Jb\\u202e")   # "a\\\\x1b[2Jb\\\\u202e"
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _escape(c) for c in text)


def one_line(text: str, width: int = 200) -> str:
    """`visible`, on one line of at most `width` characters."""
    line = visible(text[: 4 * width]).replace("\n", " ").replace("\t", " ")
    return line if len(line) <= width else line[: width - 3] + "..."


def block(text: str, lines: int = 200, width: int = 400) -> str:
    """`visible`, with long lines and long texts cut, and what was cut said."""
    rows = text.split("\n", lines)
    cut = len(rows) > lines
    shown = [
        visible(row) if len(row) <= width else f"{visible(row[:width])}... ({len(row)} characters)"
        for row in rows[:lines]
    ]
    if cut:
        shown.append(f"... ({rows[lines].count(chr(10)) + 1} more lines)")
    return "\n".join(shown)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
