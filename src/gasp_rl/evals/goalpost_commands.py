"""`gasp goalposts mine | list | check`: thin, heavy imports when a verb runs."""

import json
from pathlib import Path
from typing import Annotated

import typer

from gasp_rl.evals.options import (
    BeforeOption,
    ConcurrencyOption,
    CpuOption,
    DataOption,
    GraderOption,
    IdsOption,
    JsonOption,
    MaxTokensOption,
    NameOption,
    OnOption,
    SeedOption,
    SinceOption,
    SkipOption,
    StyleOption,
    TemperatureOption,
    TemplateOption,
    TopPOption,
    grading_of,
    load_benchmarks,
    open_sandbox,
    shard_of,
    source_of,
    stage_of,
    style_of,
    window_of,
)


def mine_goalposts(
    stage: Annotated[
        list[str],
        typer.Option(help="name=MODEL[,MODEL...]: one filter; repeat the option for more."),
    ],
    on: OnOption,
    out: Annotated[Path, typer.Option(help="Goalposts file to write.")] = Path("goalposts.jsonl"),
    log: Annotated[
        Path | None, typer.Option(help="Draws made so far; resumes. Default: OUT.draws.")
    ] = None,
    merge: Annotated[
        list[Path] | None, typer.Option(help="Logs of other machines to take in.")
    ] = None,
    shard: Annotated[str, typer.Option(help="Mine part i/m of the questions, i from 0.")] = "0/1",
    n: Annotated[int, typer.Option("-n", min=1, help="Samples of a policy on a question.")] = 100,
    confirm: Annotated[int, typer.Option(min=0, help="Fresh samples on the survivors.")] = 100,
    first: Annotated[int, typer.Option(min=1, help="Size of the first draw; then doubled.")] = 1,
    against: Annotated[
        str, typer.Option(help="Evaluation sets that must not overlap with the goalposts.")
    ] = "",
    temperature: TemperatureOption = 0.6,
    top_p: TopPOption = 1.0,
    max_tokens: MaxTokensOption = 2048,
    style: StyleOption = "chat",
    template: TemplateOption = None,
    data: DataOption = None,
    since: SinceOption = None,
    before: BeforeOption = None,
    ids: IdsOption = None,
    skip_broken: SkipOption = False,
    served_name: NameOption = "default",
    concurrency: ConcurrencyOption = 16,
    stdin_grader: GraderOption = "real",
    cpu_seconds: CpuOption = None,
    seed: SeedOption = 0,
) -> None:
    """Find questions that every given policy fails every time; writes counts and bounds."""
    from gasp_rl.evals.goalposts import GoalpostFile, guard_against_leakage, write_goalposts
    from gasp_rl.evals.mining import DrawLog, Stage, mine
    from gasp_rl.evals.mining import shard as part_of
    from gasp_rl.evals.models import ModelOptions, ModelPolicy
    from gasp_rl.evals.prompts import prompter_for
    from gasp_rl.evals.sampler import Sampling

    first_model = stage_of(stage[0])[1][0]
    prompter = prompter_for(first_model, style_of(style), template)
    sampling = Sampling(
        temperature=temperature, top_p=top_p, max_tokens=max_tokens, stop=prompter.stop
    )
    grading = grading_of(stdin_grader, cpu_seconds)
    narrow = window_of(since, before, ids)
    with open_sandbox() as sandbox:
        source = source_of(data, sandbox, skip_broken)
        benchmarks = load_benchmarks(on, source, narrow, True)
        every = [q for benchmark in benchmarks for q in benchmark.gradable()]
        untested = sum(len(b.questions) for b in benchmarks) - len(every)
        if untested:
            print(f"{untested} questions without tests are left out")
        index, of = shard_of(shard)
        questions = part_of(every, index, of)
        for other in load_benchmarks(against, source, None, True) if against else []:
            guard_against_leakage(questions, other.questions, (on, other.name))
        options = ModelOptions(served_name=served_name, concurrency=concurrency)
        stages = [
            Stage(
                name,
                tuple(
                    ModelPolicy(
                        name=model,
                        model=model,
                        prompter=prompter,
                        sampling=sampling,
                        sandbox=sandbox,
                        options=options,
                        grading=grading,
                    )
                    for model in models
                ),
                n,
            )
            for name, models in map(stage_of, stage)
        ]
        draws = DrawLog(log or out.with_name(out.name + ".draws"))
        for path in merge or []:
            print(f"{path}: {draws.merge(DrawLog(path))} draws taken in")
        mined = mine(
            questions,
            stages,
            draws,
            confirm=confirm,
            seed=seed,
            first=first,
            on_round=lambda where, who, left: print(f"{where}: {who}: {left} left"),
        )
    provenance = {
        "sets": [benchmark.described for benchmark in benchmarks],
        "stages": [[name, models, n] for name, models in map(stage_of, stage)],
        "confirm": confirm,
        "temperature": temperature,
        "prompts": f"{prompter.style} {prompter.version}",
        "stdin_grader": stdin_grader,
        "seed": seed,
        "shard": shard,
        "costs": [[c.stage, c.entered, c.left, c.samples, c.naive] for c in mined.costs],
    }
    write_goalposts(out, GoalpostFile(mined.goalposts, provenance))
    for cost in mined.costs:
        print(
            f"{cost.stage}: {cost.entered} -> {cost.left} questions, {cost.samples} samples "
            f"(all at full count: {cost.naive})"
        )
    share = 100 * mined.samples / mined.naive if mined.naive else 0.0
    print(f"{len(mined.goalposts)} goalposts in {out}")
    print(f"{mined.samples} samples, {share:.0f}% of {mined.naive}")


def list_goalposts(path: Path, as_json: JsonOption = False) -> None:
    """Print the goalposts of a file with their sample counts and bounds."""
    from gasp_rl.evals.goalposts import read_goalposts

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
    print(f"{len(content.goalposts)} goalposts")


def check_goalposts(
    path: Path,
    against: Annotated[str, typer.Option(help="Evaluation sets that must not overlap.")] = "",
    data: DataOption = None,
) -> None:
    """Check that a goalposts file reads, can be judged, and shares nothing with evaluation sets."""
    from gasp_rl.errors import DataError
    from gasp_rl.evals.goalposts import guard_against_leakage, read_goalposts

    content = read_goalposts(path)
    questions = [goalpost.question for goalpost in content.goalposts]
    if untested := [q.id for q in questions if not q.gradable]:
        raise DataError(f"{path}: {len(untested)} goalposts have no tests: {untested[:5]}")
    source = source_of(data, None, False)
    for benchmark in load_benchmarks(against, source, None, True) if against else []:
        guard_against_leakage(questions, benchmark.questions, (str(path), benchmark.name))
        print(f"nothing in common with {benchmark.name} ({benchmark.described})")
    print(f"{path}: {len(questions)} goalposts, all with tests")
