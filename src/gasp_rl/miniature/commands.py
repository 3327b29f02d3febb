"""The verbs of the miniature: build a world, measure its slope."""

from pathlib import Path
from typing import Annotated

import typer

DOCUMENTS = 204_800


def mount(app: typer.Typer) -> None:
    """Add `gasp miniature ...` to the command line."""
    group = typer.Typer(no_args_is_help=True, help="The embedded world and its base model.")
    group.command("build")(build)
    group.command("slope")(slope)
    app.add_typer(group, name="miniature")


def build(
    world: Annotated[str, typer.Option(help="miniature, or miniature-flat.")] = "miniature",
    out: Annotated[Path, typer.Option(help="Folder to make.")] = Path("build/miniature"),
    seed: Annotated[int, typer.Option(help="Decides questions, corpus and weights.")] = 0,
    documents: Annotated[int, typer.Option(min=4096, help="Warm-start documents.")] = DOCUMENTS,
) -> None:
    """Make questions, tokenizer and base model from a seed, and print the base's slope."""
    from gasp_rl.errors import ConfigError
    from gasp_rl.miniature.world import WORLDS

    if world not in WORLDS:
        raise ConfigError(f"no world named {world!r}; there are {', '.join(WORLDS)}")
    print(f"building {world} from seed {seed}")
    from gasp_rl.miniature.build import build as make

    make(world, out, seed, documents, say=print)


def slope(
    world: Annotated[str, typer.Argument(help="An embedded world, or a built folder.")] = (
        "miniature"
    ),
    samples: Annotated[int, typer.Option(min=1, help="Samples of each question.")] = 100,
    seed: Annotated[int, typer.Option(help="Decides the samples.")] = 1,
) -> None:
    """Measure a base model afresh: pass@k by depth, and pass@1 of deduction and abduction."""
    print(f"measuring {world}: {samples} samples of each validation question")
    from gasp_rl.miniature import assets
    from gasp_rl.miniature.build import kinds_table, measure_kinds, measure_slope, slope_table

    folder = assets.data_folder() / world if assets.is_embedded(world) else Path(world)
    print(slope_table(measure_slope(folder / "model", folder, samples, seed)))
    print()
    print(kinds_table(measure_kinds(folder / "model", folder, samples, seed)))
