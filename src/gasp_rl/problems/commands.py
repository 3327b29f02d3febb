"""`gasp problems sets | show | overlap | convert`: looking at question files."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from gasp_rl.wording import counted

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder with the sets (or GASP_DATA).")
]
SkipOption = Annotated[
    bool, typer.Option("--skip-broken", help="Count broken rows instead of stopping at them.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def mount(app: typer.Typer) -> None:
    """Add `gasp problems ...` to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Files of real questions.")
    group.command("sets")(sets)
    group.command("show")(show)
    group.command("overlap")(overlap)
    group.command("convert")(convert)
    app.add_typer(group, name="problems")


def sets() -> None:
    """List the sets that are known by name, and where their files are looked for."""
    from gasp_rl.problems.embedded import GOALPOSTS, SPLITS, embedded_worlds
    from gasp_rl.problems.load import SETS

    for name, known in SETS.items():
        window = f" ({known.selection})" if str(known.selection) != "all" else ""
        print(f"{name}{window}: {' or '.join(known.places)}")
    for world in embedded_worlds():
        print(f"{', '.join(f'{world}:{split}' for split in (*SPLITS, GOALPOSTS))}: ships with gasp")


def show(
    on: str,
    data: DataOption = None,
    skip_broken: SkipOption = False,
    as_json: JsonOption = False,
) -> None:
    """Count a set's questions by form, platform and difficulty, and say what was left out."""
    from gasp_rl.problems.load import Source, expand, load_set

    for spec in expand(on):
        found = load_set(spec, Source(data, skip_broken=skip_broken))
        questions = found.loaded.questions
        counts = {
            name: dict(sorted(Counter(values).items()))
            for name, values in (
                ("form", [q.form.value for q in questions]),
                ("platform", [q.platform for q in questions if q.platform]),
                ("difficulty", [q.difficulty for q in questions if q.difficulty]),
            )
        }
        days = sorted(q.date for q in questions if q.date)
        untested = sum(not q.gradable for q in questions)
        if as_json:
            about = {"set": found.name, "described": found.described, "untested": untested}
            print(json.dumps(about | counts | {"left_out": found.loaded.skip_counts()}))
            continue
        print(f"{found.name}: {found.described}")
        for name, table in counts.items():
            if table:
                print(f"  {name}: " + ", ".join(f"{key} {n}" for key, n in table.items()))
        if days:
            print(f"  dates: {days[0]} to {days[-1]}")
        later = " (EvalPlus's are computed when they are first asked)" if "+" in found.name else ""
        print(f"  without tests here: {untested}{later if untested else ''}")
        for reason, n in found.loaded.skip_counts().items():
            print(f"  left out, {reason}: {n}")


def overlap(
    left: str,
    right: str,
    data: DataOption = None,
    embedding: Annotated[bool, typer.Option(help="Also compare hash embeddings.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Find questions of one set in another: by id, text, n-grams, embedding. Exit 1 if any."""
    from gasp_rl.problems.load import Source, expand, load_set
    from gasp_rl.problems.overlap import find_overlaps

    sides = [
        [q for spec in expand(names) for q in load_set(spec, Source(data)).loaded.questions]
        for names in (left, right)
    ]
    found = find_overlaps(sides[0], sides[1], embedding)
    if as_json:
        rows = [{"left": o.left, "right": o.right, "how": o.how, "score": o.score} for o in found]
        print(json.dumps(rows))
    else:
        for pair in found:
            print(pair)
        print(f"{counted(len(found), 'pair')} in {len(sides[0])} x {len(sides[1])} questions")
    raise typer.Exit(1 if found else 0)


def convert(
    on: str,
    out: Path,
    data: DataOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a set in our own format, with its tests and references (EvalPlus: computed)."""
    from gasp_rl.errors import DataError
    from gasp_rl.problems.load import Source, default_cache, load_set
    from gasp_rl.problems.schema import write_questions
    from gasp_rl.sandbox import Sandbox

    if out.exists() and not force:
        raise DataError(f"{out}: exists; choose another name or pass --force")
    with Sandbox() as sandbox:
        found = load_set(on, Source(data, sandbox, default_cache()))
    write_questions(out, found.loaded.questions)
    print(f"{out}: from {found.described}")
