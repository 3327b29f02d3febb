"""`gasp goalposts mine | list | check`: thin, heavy imports when a verb runs."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gasp_rl.errors import ConfigError, DataError
from gasp_rl.evals.options import (
    AskingOptions,
    DataOption,
    GradingOptions,
    JsonOption,
    QuestionOptions,
    grouped,
    open_sandbox,
)
from gasp_rl.wording import counted

if TYPE_CHECKING:
    from gasp_rl.evals.runner import Benchmark
    from gasp_rl.goalposts.mining import Mined, Stage
    from gasp_rl.sandbox import Sandbox
    from gasp_rl.tasks.question import Question


def mount(app: typer.Typer) -> None:
    """Add `gasp goalposts ...` to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Questions that nothing solves yet.")
    group.command("mine")(mine_goalposts)
    group.command("list")(list_goalposts)
    group.command("check")(check_goalposts)
    app.add_typer(group, name="goalposts")


@grouped
def mine_goalposts(
    stage: Annotated[
        list[str],
        typer.Option(
            help="A filter, name=MODEL or name=A,B; repeat for more. name=MODEL@1000 takes 1000 "
            "samples in place of -n."
        ),
    ],
    questions: QuestionOptions,
    asking: AskingOptions,
    grading: GradingOptions,
    out: Annotated[Path, typer.Option(help="Goalposts file to write.")] = Path("goalposts.jsonl"),
    log: Annotated[
        Path | None, typer.Option(help="Draws made so far; resumes. Default: OUT.draws.")
    ] = None,
    merge: Annotated[
        list[Path] | None, typer.Option(help="Logs of other machines to take in.")
    ] = None,
    shard: Annotated[str, typer.Option(help="Mine part i/m of the questions, i from 0.")] = "0/1",
    n: Annotated[
        int, typer.Option("-n", min=1, max=1_000_000, help="Samples of a policy on a question.")
    ] = 100,
    confirm: Annotated[int, typer.Option(min=0, help="Fresh samples on the survivors.")] = 100,
    first: Annotated[int, typer.Option(min=1, help="Size of the first draw; then doubled.")] = 1,
    against: Annotated[
        str, typer.Option(help="Evaluation sets that must not overlap with the goalposts.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Find questions that every given policy fails every time; writes counts and bounds."""
    from gasp_rl.goalposts.file import GoalpostFile, guard_against_leakage, write_goalposts
    from gasp_rl.goalposts.mining import DrawLog, mine

    if out.exists() and not force:
        raise DataError(f"{out}: exists; choose another name or pass --force")
    named = [stage_of(text, n) for text in stage]
    prompters = [asking.prompter(model) for _, models, _ in named for model in models]
    rule = grading.grading()
    with open_sandbox() as sandbox:
        benchmarks = questions.benchmarks(sandbox)
        candidates = _candidates(benchmarks, shard)
        for other in questions.evaluation_sets(against, sandbox):
            guard_against_leakage(candidates, other.questions, (questions.on, other.name))
        stages = [_stage(*part, asking, grading, sandbox) for part in named]
        draws = DrawLog(log or out.with_name(out.name + ".draws"))
        for path in merge or []:
            if not path.is_file():
                raise ConfigError(f"--merge {path}: no such file")
            print(f"{path}: {draws.merge(DrawLog(path))} draws taken in")
        mined = mine(
            candidates,
            stages,
            draws,
            confirm=confirm,
            seed=asking.seed,
            first=first,
            on_round=lambda where, who, left: print(f"{where}: {who}: {left} left"),
        )
    provenance = {
        "sets": [benchmark.described for benchmark in benchmarks],
        "stages": [list(part) for part in named],
        "confirm": confirm,
        "temperature": asking.temperature,
        "top_p": asking.top_p,
        "max_tokens": asking.max_tokens,
        "prompts": sorted({f"{p.style} {p.version}" for p in prompters}),
        **rule.settings(),
        "seed": asking.seed,
        "shard": shard,
        "costs": [[c.stage, c.entered, c.left, c.samples, c.naive] for c in mined.costs],
    }
    write_goalposts(out, GoalpostFile(mined.goalposts, provenance))
    _show_mined(mined, out)


def _candidates(benchmarks: "list[Benchmark]", part: str) -> "tuple[Question, ...]":
    """The questions with tests, of this machine's part."""
    from gasp_rl.goalposts.mining import shard

    every = [question for benchmark in benchmarks for question in benchmark.gradable()]
    if untested := sum(len(b.questions) for b in benchmarks) - len(every):
        print(f"{untested} questions without tests are left out")
    return shard(every, *shard_of(part))


def _stage(
    name: str,
    models: list[str],
    n: int,
    asking: AskingOptions,
    grading: GradingOptions,
    sandbox: "Sandbox",
) -> "Stage":
    from gasp_rl.evals.models import ModelPolicy
    from gasp_rl.goalposts.mining import Stage

    policies = []
    for model in models:
        prompter = asking.prompter(model)
        policies.append(
            ModelPolicy(
                name=model,
                model=model,
                prompter=prompter,
                sampling=asking.sampling(prompter, n),
                sandbox=sandbox,
                options=asking.model_options(),
                grading=grading.grading(),
            )
        )
    return Stage(name, tuple(policies), n)


def _show_mined(mined: "Mined", out: Path) -> None:
    for cost in mined.costs:
        print(
            f"{cost.stage}: {cost.entered} -> {counted(cost.left, 'question')}, "
            f"{counted(cost.samples, 'sample')} "
            f"(all at full count: {cost.naive})"
        )
    share = 100 * mined.samples / mined.naive if mined.naive else 0.0
    print(f"{counted(len(mined.goalposts), 'goalpost')} in {out}")
    print(f"{counted(mined.samples, 'sample')}, {share:.0f}% of {mined.naive}")


def list_goalposts(path: Path, as_json: JsonOption = False) -> None:
    """Print the goalposts of a file with their sample counts and bounds."""
    from gasp_rl.goalposts.file import read_goalposts

    content = read_goalposts(path)
    if as_json:
        rows = [
            {
                "id": g.question.id,
                "source": g.question.source,
                "key": g.question.key,
                "samples": sum(d.mined + d.confirmed for d in g.draws),
                "upper_bound": g.bound(),
            }
            for g in content.goalposts
        ]
        print(json.dumps({"goalposts": rows, "provenance": content.provenance}))
        return
    for goalpost in content.goalposts:
        total = sum(d.mined + d.confirmed for d in goalpost.draws)
        question = goalpost.question
        print(
            f"{question.source}/{question.id}  {question.difficulty or '-'}  "
            f"0 of {total}, pass rate at most {100 * goalpost.bound():.1f}%"
        )
    print(counted(len(content.goalposts), "goalpost"))


def check_goalposts(
    path: Path,
    against: Annotated[str, typer.Option(help="Evaluation sets that must not overlap.")] = "",
    data: DataOption = None,
) -> None:
    """Check that a goalposts file reads, can be judged, and shares nothing with evaluation sets."""
    from gasp_rl.goalposts.file import guard_against_leakage, read_goalposts

    content = read_goalposts(path)
    questions = [goalpost.question for goalpost in content.goalposts]
    if untested := [q.id for q in questions if not q.gradable]:
        raise DataError(f"{path}: {len(untested)} goalposts have no tests: {untested[:5]}")
    for benchmark in QuestionOptions(data=data).evaluation_sets(against, None):
        guard_against_leakage(questions, benchmark.questions, (str(path), benchmark.name))
        print(f"nothing in common with {benchmark.name} ({benchmark.described})")
    print(f"{path}: {counted(len(questions), 'goalpost')}, all with tests")


def shard_of(text: str) -> tuple[int, int]:
    """`1/4` as (1, 4)."""
    index, _, of = text.partition("/")
    if not (index.isdecimal() and of.isdecimal()):
        raise ConfigError(f"--shard {text}: write it as 0/2 and 1/2")
    return int(index), int(of)


def stage_of(text: str, n: int) -> tuple[str, list[str], int]:
    """`rlvr=A,B` as ("rlvr", ["A", "B"], n); `base=A@1000` brings its own count of samples."""
    name, equals, models = text.partition("=")
    if not equals or not name or not models:
        raise ConfigError(f"--stage {text}: write it as name=MODEL or name=MODEL,MODEL")
    if counted := re.fullmatch(r"(.+)@([1-9]\d*)", models):
        models, n = counted[1], int(counted[2])
    return name, models.split(","), n
