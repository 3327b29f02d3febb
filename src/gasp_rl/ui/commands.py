"""The verbs that read runs: show, status, view, report, compare, sql, export, push."""

import json
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gasp_rl.errors import StoreError
from gasp_rl.store.export import ExportWhat

if TYPE_CHECKING:
    from gasp_rl.store.reader import RunReader

RunArgument = Annotated[str, typer.Argument(help="A run: path, name, or `latest`.")]
RunsArgument = Annotated[list[str], typer.Argument(help="Runs: paths, names, or `latest`.")]
DirOption = Annotated[Path, typer.Option("--dir", help="Folder that holds the runs.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

RUNS = Path("runs")


def mount(app: typer.Typer) -> None:
    """Add every verb of this module to the command line."""
    for verb in (show, status, view, report, compare, sql, export, push):
        app.command()(verb)


def show(
    run: RunArgument = "latest",
    node: Annotated[str, typer.Argument(help="Id of a goalpost, node or rollout.")] = "",
    rejected: Annotated[bool, typer.Option(help="Also show rejected proposals.")] = False,
    dir: DirOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Print the tree goalpost, lemma, lift of a run, or one node in full."""
    from gasp_rl.store.folder import find_run
    from gasp_rl.store.reader import RunReader

    with RunReader.open(find_run(run, dir)) as reader:
        if as_json:
            _print_json(_node_json(reader, node) if node else _tree_json(reader))
            return
        from gasp_rl.ui.console import print_whole
        from gasp_rl.ui.tree import node_view, run_tree

        print_whole(node_view(reader, node) if node else run_tree(reader, rejected=rejected))


def status(run: RunArgument = "latest", dir: DirOption = RUNS, as_json: JsonOption = False) -> None:
    """Say where a run is and whether it is healthy; exit code 0 green, 2 amber, 3 red."""
    from gasp_rl.store.folder import find_run
    from gasp_rl.store.reader import RunReader
    from gasp_rl.ui.status import EXIT_CODES, status_text
    from gasp_rl.ui.status import status as read_status

    with RunReader.open(find_run(run, dir)) as reader:
        state = read_status(reader)
    if as_json:
        _print_json(state.json())
    else:
        print(status_text(state))
    raise typer.Exit(EXIT_CODES[state.health])


def view(
    dir: Annotated[Path, typer.Argument(help="Folder that holds the runs, or one run.")] = RUNS,
    host: Annotated[str, typer.Option(help="Other than loopback needs a printed token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 7117,
) -> None:
    """Serve the curriculum explorer for every run under a folder, live and finished."""
    from gasp_rl.ui.server import serve

    if dir != RUNS and not dir.is_dir():  # the usual folder may come later, with its first run
        raise StoreError(f"{dir}: no such folder")
    serve(dir, host=host, port=port)


def report(
    runs: RunsArgument,
    out: Annotated[Path | None, typer.Option(help="Folder for the files.")] = None,
    dir: DirOption = RUNS,
) -> None:
    """Write report.html (one file, opens from disk), report.md and report.json."""
    from gasp_rl.store.folder import find_run
    from gasp_rl.ui.report import write_report

    paths = [find_run(run, dir) for run in runs]
    for path in write_report(paths, out or paths[0]):
        print(path)


def compare(runs: RunsArgument, dir: DirOption = RUNS, as_json: JsonOption = False) -> None:
    """Compare runs: settings that differ, last metrics, paired differences, goalposts solved."""
    from gasp_rl.store.folder import find_run
    from gasp_rl.store.reader import RunReader
    from gasp_rl.ui.compare import compare_runs, comparison_text

    with ExitStack() as stack:
        readers = [stack.enter_context(RunReader.open(find_run(run, dir))) for run in runs]
        comparison = compare_runs(readers)
    if as_json:
        _print_json(asdict(comparison))
    else:
        print(comparison_text(comparison))


def sql(
    run: RunArgument,
    query: Annotated[str, typer.Argument(help="One read-only statement.")],
    limit: Annotated[int, typer.Option(min=1, help="At most this many rows.")] = 1000,
    dir: DirOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Run one read-only SQL statement on a run's database; tab-separated rows come out."""
    from gasp_rl.store.folder import find_run
    from gasp_rl.store.reader import RunReader
    from gasp_rl.ui.safe import one_line

    with RunReader.open(find_run(run, dir)) as reader:
        names, rows = reader.select(query, limit)
    if as_json:
        _print_json([dict(zip(names, map(_plain, row), strict=True)) for row in rows])
        return
    print("\t".join(names))
    for row in rows:
        print("\t".join(one_line(str(_plain(value))) for value in row))


def export(
    run: RunArgument,
    out: Annotated[Path, typer.Argument(help="A new .jsonl or .parquet file.")],
    what: Annotated[ExportWhat, typer.Option(help="What to write.")] = ExportWhat.CURRICULUM,
    force: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
    dir: DirOption = RUNS,
) -> None:
    """Write a run's data for other tools."""
    from gasp_rl.store.export import export as write
    from gasp_rl.store.folder import find_run
    from gasp_rl.store.reader import RunReader

    with RunReader.open(find_run(run, dir)) as reader:
        count = write(reader, what, out, force=force)
    print(f"{count} rows of {what} in {out}")


def push(
    run: RunArgument,
    to: Annotated[str, typer.Argument(help="Repository of the Hub, as user/name.")],
    step: Annotated[int | None, typer.Option(help="Checkpoint; else the last one.")] = None,
    public: Annotated[bool, typer.Option("--public", help="For everyone to see.")] = False,
    dry_run: Annotated[
        Path | None, typer.Option("--dry-run", help="Write what would be sent here; send nothing.")
    ] = None,
    dir: DirOption = RUNS,
) -> None:
    """Send weights, curriculum and a model card to the Hugging Face Hub; private unless told."""
    from tempfile import TemporaryDirectory

    from gasp_rl.store.folder import find_run
    from gasp_rl.store.reader import RunReader
    from gasp_rl.ui.push import check_repository, write_folder
    from gasp_rl.ui.push import push as send

    check_repository(to)
    with RunReader.open(find_run(run, dir)) as reader:
        if dry_run is not None:
            folder = write_folder(reader, dry_run, step)
            print(f"{folder}: what would be pushed to {to}; nothing was sent")
            return
        with TemporaryDirectory() as place:
            address = send(write_folder(reader, Path(place), step), to, private=not public)
    print(f"{address} ({'public' if public else 'private'})")


def _tree_json(reader: "RunReader") -> dict[str, Any]:
    return {
        "run": reader.path.name,
        "step": reader.last_step(),
        "goalposts": [asdict(goalpost) for goalpost in reader.goalposts()],
        "nodes": [asdict(detail.summary) for detail in reader.accepted()],
    }


def _node_json(reader: "RunReader", id: str) -> dict[str, Any]:
    if reader.has_goalpost(id):
        return asdict(reader.goalpost(id))
    return asdict(reader.node(id) if reader.has_proposal(id) else reader.rollout(id))


def _plain(value: object) -> object:
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else value


def _print_json(value: object) -> None:
    json.dump(value, sys.stdout, indent=1, ensure_ascii=True, default=str)
    print()
