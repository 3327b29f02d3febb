"""Every sample of an evaluation with its verdict, in one SQLite file: stop anywhere, resume.

A sample is committed the moment it arrives, and a verdict when it is known, each in a transaction:
after a kill nothing that was committed is asked for or graded again.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from gasp_rl.errors import StoreError
from gasp_rl.evals.judge import Judgement
from gasp_rl.tasks.question import Question
from gasp_rl.types import PassRate

_SCHEMA = """
create table setting (name text primary key, value text not null);
create table question (
    benchmark text not null, id text not null, key text not null,
    primary key (benchmark, id)
) without rowid;
create table sample (
    benchmark text not null, question text not null, number integer not null,
    completion text not null, answer text not null, finish text not null, tokens integer,
    verdict text, solved integer, detail text, gradings integer not null default 0,
    primary key (benchmark, question, number)
) without rowid;
create index ungraded on sample (benchmark) where verdict is null;
pragma user_version = 1;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One completion. `number` counts the samples of its question from 0.

    tokens: completion tokens where the sampler knows them.
    finish: why sampling stopped: `stop`, `length`, or `file` for completions made elsewhere.
    """

    benchmark: str
    question: str
    number: int
    completion: str
    answer: str
    finish: str = "file"
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Graded:
    """A stored sample with its verdict; `gradings` counts how often it was judged."""

    sample: Sample
    judgement: Judgement | None
    gradings: int


class SampleStore:
    """The samples of one evaluation (one model, one set of settings), several benchmarks."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        """Open or create. Raises `StoreError` when the file holds another evaluation's samples:
        mixing two settings in one pass@k would give a number of neither."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            tables = {name for (name,) in self._db.execute("select name from sqlite_master")}
            if tables and "setting" not in tables:
                raise StoreError(f"{path}: holds something other than samples; name another file")
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = normal")
            if not tables:
                self._db.executescript(f"begin; {_SCHEMA} commit;")
            self._agree(settings)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: not a samples file, or locked: {error}") from None

    def __enter__(self) -> "SampleStore":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    def settings(self) -> dict[str, Any]:
        """What the samples were made with."""
        rows = self._db.execute("select name, value from setting order by name")
        return {name: json.loads(value) for name, value in rows}

    def register(
        self, benchmark: str, questions: Sequence[Question], regrade: bool = False
    ) -> None:
        """Note which questions are evaluated. A question whose text or tests have changed since is
        an error, unless its samples are to be graded again."""
        known = dict(
            self._db.execute("select id, key from question where benchmark = ?", (benchmark,))
        )
        changed = [q.id for q in questions if known.get(q.id, q.key) != q.key]
        if changed and not regrade:
            raise StoreError(
                f"{self.path}: {len(changed)} questions of {benchmark} have changed since their "
                f"samples were made ({', '.join(changed[:5])}); grade again with --rescore"
            )
        with self._db:
            self._db.execute("begin")
            self._db.executemany(
                "insert or replace into question values (?, ?, ?)",
                [(benchmark, q.id, q.key) for q in questions],
            )

    def missing(
        self, benchmark: str, questions: Sequence[Question], n: int
    ) -> list[tuple[int, int]]:
        """(index of the question, sample number) of every sample still to be made."""
        query = "select question, number from sample where benchmark = ?"
        have = set(self._db.execute(query, (benchmark,)))
        return [
            (index, number)
            for index, question in enumerate(questions)
            for number in range(n)
            if (question.id, number) not in have
        ]

    def add(self, samples: Iterable[Sample]) -> None:
        """Store samples in one transaction; one that is there already stays as it is."""
        with self._db:
            self._db.execute("begin")
            self._db.executemany(
                "insert or ignore into sample (benchmark, question, number, completion, answer, "
                "finish, tokens) values (?, ?, ?, ?, ?, ?, ?)",
                [
                    (s.benchmark, s.question, s.number, _storable(s.completion),
                     _storable(s.answer), s.finish, s.tokens)
                    for s in samples
                ],
            )  # fmt: skip

    def ungraded(self, benchmark: str, limit: int = 1 << 30) -> list[Sample]:
        """Samples without a verdict."""
        rows = self._db.execute(
            "select question, number, completion, answer, finish, tokens from sample "
            "where benchmark = ? and verdict is null order by question, number limit ?",
            (benchmark, limit),
        )
        return [_sample(benchmark, row) for row in rows]

    def grade(self, samples: Sequence[Sample], judgements: Sequence[Judgement]) -> None:
        """Store verdicts in one transaction."""
        with self._db:
            self._db.execute("begin")
            self._db.executemany(
                "update sample set verdict = ?, solved = ?, detail = ?, answer = ?, "
                "gradings = gradings + 1 where benchmark = ? and question = ? and number = ?",
                [
                    (j.verdict, j.solved, _storable(j.detail), _storable(s.answer),
                     s.benchmark, s.question, s.number)
                    for s, j in zip(samples, judgements, strict=True)
                ],
            )  # fmt: skip

    def forget_verdicts(self, benchmark: str, rule: dict[str, Any]) -> None:
        """Drop the verdicts of a benchmark, so that its samples are graded again under `rule`; the
        verdicts of all benchmarks where that is not the rule of the file so far."""
        changed = {n: value for n, value in rule.items() if self.settings().get(n) != value}
        forget = "update sample set verdict = null, solved = null, detail = null"
        with self._db:
            self._db.execute("begin")
            if changed:
                self._set(changed)
                self._db.execute(forget)
            else:
                self._db.execute(f"{forget} where benchmark = ?", (benchmark,))

    def graded(self, benchmark: str) -> list[Graded]:
        """Every sample of a benchmark, by question and number."""
        rows = self._db.execute(
            "select question, number, completion, answer, finish, tokens, verdict, solved, detail, "
            "gradings from sample where benchmark = ? order by question, number",
            (benchmark,),
        )
        return [
            Graded(
                _sample(benchmark, row[:6]),
                None if row[6] is None else Judgement(bool(row[7]), row[6], row[8] or ""),
                row[9],
            )
            for row in rows
        ]

    def counts(self, benchmark: str) -> dict[str, PassRate]:
        """Right and total graded samples of each question."""
        rows = self._db.execute(
            "select question, sum(solved), count(*) from sample "
            "where benchmark = ? and verdict is not null group by question",
            (benchmark,),
        )
        return {question: PassRate(correct, total) for question, correct, total in rows}

    def verdicts(self, benchmark: str) -> dict[str, int]:
        """How many samples ended with each verdict."""
        return dict(
            self._db.execute(
                "select verdict, count(*) from sample where benchmark = ? and verdict is not null "
                "group by verdict order by count(*) desc",
                (benchmark,),
            )
        )

    def _agree(self, settings: dict[str, Any]) -> None:
        stored = self.settings()
        fresh = {name: json.loads(json.dumps(value)) for name, value in settings.items()}
        if not self._db.execute("select count(*) from sample").fetchone()[0]:
            with self._db:  # none was made with the settings that stand there
                self._db.execute("begin")
                self._db.execute("delete from setting")
                self._set(fresh)
            return
        differ = [n for n in sorted({*stored, *fresh}) if stored.get(n) != fresh.get(n)]
        if differ:
            name = differ[0]
            raise StoreError(
                f"{self.path} holds samples made with {name} = {stored.get(name)!r}, not "
                f"{fresh.get(name)!r}: resume with the same settings or write to another file"
            )

    def _set(self, settings: dict[str, Any]) -> None:
        self._db.executemany(
            "insert or replace into setting values (?, ?)",
            [(name, json.dumps(value)) for name, value in settings.items()],
        )


def stored_settings(path: Path) -> dict[str, Any]:
    """The settings that a samples file was made with. Raises `StoreError` where there is none."""
    if not path.is_file():
        raise StoreError(f"{path}: no samples file here")
    try:
        db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
        rows = db.execute("select name, value from setting").fetchall()
        db.close()
    except sqlite3.Error as error:
        raise StoreError(f"{path}: not a samples file: {error}") from None
    return {name: json.loads(value) for name, value in rows}


def _sample(benchmark: str, row: Sequence[Any]) -> Sample:
    question, number, completion, answer, finish, tokens = row
    return Sample(
        benchmark=benchmark,
        question=question,
        number=number,
        completion=completion,
        answer=answer,
        finish=finish,
        tokens=tokens,
    )


def _storable(text: str) -> str:
    """SQLite's text is UTF-8: half surrogate pairs, which a server may send, become U+FFFD."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text
