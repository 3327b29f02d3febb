"""Recipes: TOML files, shipped or one's own, that may build on another one."""

import difflib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from gasp_rl.config.parsing import apply_override, layered, parse_config, parse_toml
from gasp_rl.config.run import Config
from gasp_rl.errors import ConfigError, reason_of


def recipe_names() -> list[str]:
    """Names of the recipes that ship in the package."""
    folder = resources.files("gasp_rl") / "recipes"
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")
    )


def load_config(recipe: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Resolve a recipe (a shipped name, or a TOML file) with `key.path=value` overrides.

    A recipe may name another one as its `base` and hold only what differs.
    """
    tree, origin = _recipe_tree(recipe)
    for override in overrides:
        apply_override(tree, override)
    return parse_config(tree, origin)


def recipe_text(recipe: str | Path) -> str:
    """A recipe as its author wrote it."""
    return _read_recipe(recipe)[0]


def _recipe_tree(recipe: str | Path, above: tuple[str, ...] = ()) -> tuple[dict[str, Any], str]:
    """A recipe's keys over those of its `base`: a shipped name, or a file beside the recipe."""
    text, origin = _read_recipe(recipe)
    if origin in above:
        raise ConfigError(f"base goes in a circle: {' > '.join((*above, origin))}")
    tree = parse_toml(text, origin)
    base: Any = tree.pop("base", None)
    if base is None:
        return tree, origin
    if not isinstance(base, str):
        raise ConfigError(f"{origin}: base: name one recipe (got {base!r:.200})")
    if base.endswith(".toml"):
        base = str((Path(recipe).parent / base).resolve())
    under, _ = _recipe_tree(base, (*above, origin))
    return layered(under, tree), origin


def _read_recipe(recipe: str | Path) -> tuple[str, str]:
    path = Path(recipe)
    if path.suffix == ".toml":
        if not path.is_file():
            raise ConfigError(f"{path}: no such recipe file")
        try:
            return path.read_text(encoding="utf-8-sig"), str(path)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read as text: {reason_of(error)}") from None
    names = recipe_names()
    if "=" in str(recipe):
        raise ConfigError(
            f"{str(recipe)!r} is a setting; the recipe comes before it, for instance miniature"
        )
    if str(recipe) not in names:
        near = difflib.get_close_matches(str(recipe), names, 1)
        listed = "`gasp recipes` lists them, and a file of your own ends in .toml"
        hint = f"did you mean {near[0]}?" if near else listed
        raise ConfigError(f"no recipe named {str(recipe)!r}; {hint}")
    shipped = resources.files("gasp_rl") / "recipes" / f"{recipe}.toml"
    return shipped.read_text(encoding="utf-8"), f"recipe {recipe}"
