"""Which questions of a set are meant: release, window, platform, difficulty, ids."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gasp_rl.errors import DataError, reason_of
from gasp_rl.problems.livecodebench import releases
from gasp_rl.tasks.question import Question

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A filter over questions; fields left empty do not filter.

    since, before: ISO days; `since` is inside the window, `before` is the first day outside it.
    release:       a LiveCodeBench version tag (`release_v5`, `v5`, `v4_v6`).
    ids:           keep exactly these, in the file's order; an id that is not there is an error,
                   because a claim about an id list must be about the whole list.

    Example::

        Selection(release="release_v5", since="2024-08-01").apply(questions)  # the v5 window
    """

    since: str | None = None
    before: str | None = None
    release: str | None = None
    platforms: tuple[str, ...] = ()
    difficulties: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, day in (("since", self.since), ("before", self.before)):
            if day is not None and not _DAY.match(day):
                raise DataError(f"{name} must be a day like 2024-08-01, got {day!r}")
        if self.release:
            releases(self.release)

    def apply(self, questions: Sequence[Question]) -> tuple[Question, ...]:
        """The questions that pass every filter, in order."""
        if self.ids:
            missing = sorted(set(self.ids) - {q.id for q in questions})
            if missing:
                raise DataError(
                    f"{len(missing)} of {len(self.ids)} ids are not in the set: "
                    + ", ".join(missing[:10])
                )
        return tuple(question for question in questions if self._keeps(question))

    def _keeps(self, question: Question) -> bool:
        if (self.since or self.before) and question.date is None:
            raise DataError(f"question {question.id} has no date: it fits no window")
        day = question.date or ""
        return (
            (not self.since or day >= self.since)
            and (not self.before or day < self.before)
            and (not self.release or bool(set(question.tags) & set(releases(self.release))))
            and (not self.platforms or question.platform in self.platforms)
            and (not self.difficulties or question.difficulty in self.difficulties)
            and (not self.ids or question.id in self.ids)
        )

    def __str__(self) -> str:
        parts = [self.release, *self.platforms, *self.difficulties]
        parts += [f"from {self.since}"] if self.since else []
        parts += [f"before {self.before}"] if self.before else []
        parts += [f"{len(self.ids)} listed ids"] if self.ids else []
        return ", ".join(part for part in parts if part) or "all"


def read_ids(path: Path) -> tuple[str, ...]:
    """An id list: one id a line; blank lines and lines that start with # are passed over."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a list of ids: {reason_of(error)}") from None
    ids = tuple(s for line in lines if (s := line.strip()) and not s.startswith("#"))
    if not ids:
        raise DataError(f"{path}: holds no id")
    return ids
