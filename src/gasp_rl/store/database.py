"""Opening `run.db`: modes, schema versions, and SQLite's errors as one sentence."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from gasp_rl.errors import StoreError

SCHEMA_VERSION = 3
BUSY_SECONDS = 30.0

ADDED: dict[int, tuple[tuple[str, str, str], ...]] = {
    2: (("step", "times", "'{}'"), ("eval", "tags", "'[]'")),
    3: (),  # blobs that are not compressed (codec.py)
}
"""Table, column and default of what each schema version added: all that older databases lack."""


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Turn any SQLite or file error into a `StoreError` that names the file and the remedy."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(_sentence(path, error)) from error
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}") from error


def create_database(path: Path) -> sqlite3.Connection:
    """A new database with the present schema, open for writing."""
    schema = (resources.files("gasp_rl.store") / "schema.sql").read_text(encoding="utf-8")
    with _appearing_whole(path) as connection:
        connection.executescript(f"begin; {schema} commit;")
    return open_database(path, readonly=False)


def copy_database(source: Path, path: Path, change: Callable[[sqlite3.Connection], None]) -> None:
    """A consistent copy of a database that others may be writing, changed before it appears."""
    original = open_database(source, readonly=True)
    try:
        with _appearing_whole(path) as connection:
            original.backup(connection)
            connection.execute("begin")
            change(connection)
            connection.execute("commit")
    finally:
        original.close()


@contextmanager
def _appearing_whole(path: Path) -> Iterator[sqlite3.Connection]:
    """A database written beside and renamed: a crash never leaves one without its tables."""
    partial = path.with_name(path.name + ".partial")
    with clear_errors(path):
        partial.unlink(missing_ok=True)
        connection = _connect(partial, "rwc")
        try:
            yield connection
            connection.execute("pragma journal_mode = delete").fetchone()
        finally:
            connection.close()
        partial.replace(path)


def open_database(path: Path, *, readonly: bool) -> sqlite3.Connection:
    """An existing database. Read-only also works on a folder that cannot be written."""
    if not path.is_file():
        raise StoreError(f"{path}: no such file; a run folder holds run.db")
    with clear_errors(path):
        connection = _connect(path, "ro" if readonly else "rw")
        try:
            version = connection.execute("pragma user_version").fetchone()[0]
        except sqlite3.OperationalError:
            if not readonly:
                raise
            # WAL wants a shared-memory file beside the database; in a folder that we may not
            # write, a finished run is opened as what it is: a file that no one changes.
            connection = _connect(path, "ro", "&immutable=1")
            version = connection.execute("pragma user_version").fetchone()[0]
        if version == 0:
            raise StoreError(f"{path}: holds no run (an empty database, or one of another program)")
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{path}: schema version {version}, this gasp-rl reads versions 1 to "
                f"{SCHEMA_VERSION}; open it with the release that wrote it (environment.json "
                "names it)"
            )
        # Reading a table's first page finds a truncated or overwritten file now, not later.
        connection.execute("select count(*) from step").fetchone()
        if readonly:
            _show_as_present(connection, version)
        else:
            _write_mode(connection)
            _migrate(connection, version)
    return connection


def _show_as_present(connection: sqlite3.Connection, version: int) -> None:
    """An older database reads like a present one: temporary views, in memory, add what it lacks."""
    connection.execute("pragma temp_store = memory")
    for table in dict.fromkeys(table for table, _, _ in _lacking(version)):
        added = [f"{default} as {name}" for of, name, default in _lacking(version) if of == table]
        columns = ", ".join(["*", *added])
        connection.execute(f"create temp view {table} as select {columns} from main.{table}")


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring an older database that is written to again up to the present schema."""
    if version == SCHEMA_VERSION:
        return
    connection.execute("begin immediate")
    for table, name, default in _lacking(version):
        column = f"{name} text not null default {default}"
        connection.execute(f"alter table {table} add column {column}")
    connection.execute(f"pragma user_version = {SCHEMA_VERSION}")
    connection.execute("commit")


def _lacking(version: int) -> list[tuple[str, str, str]]:
    """What a database of this version does not have."""
    later = range(version + 1, SCHEMA_VERSION + 1)
    return [added for number in later for added in ADDED[number]]


def _connect(path: Path, mode: str, extra: str = "") -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode={mode}{extra}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.row_factory = sqlite3.Row
    connection.execute("pragma foreign_keys = on")
    return connection


def _write_mode(connection: sqlite3.Connection) -> None:
    """WAL where the file system has it (readers never wait), else SQLite's rollback journal."""
    connection.execute("pragma journal_mode = wal").fetchone()
    connection.execute("pragma synchronous = full")


def _sentence(path: Path, error: sqlite3.Error) -> str:
    text = str(error)
    remedies = {
        "malformed": "the file is damaged or truncated; restore it from a copy, or start a new run",
        "not a database": "this is no run database, or it was overwritten",
        "disk is full": "free some space, then `gasp resume`",
        "disk I/O error": "the disk refused; check its space and health, then `gasp resume`",
        "readonly": "the folder cannot be written",
        "locked": "another process writes to it",
        "not authorized": "a run's rows are read here, never changed",
    }
    remedy = next((advice for sign, advice in remedies.items() if sign in text), "")
    return f"{path}: {text}" + (f"; {remedy}" if remedy else "")
