"""A tree of keys into a checked `Config`; every failure is one sentence that names its origin."""

import tomllib
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from gasp_rl.config.keys import nearest_key
from gasp_rl.config.run import Config
from gasp_rl.errors import ConfigError


def parse_config(tree: dict[str, Any], origin: str) -> Config:
    """Validate a nested mapping; the first problem becomes one sentence that names its origin."""
    try:
        return Config.model_validate(layered(Config().model_dump(), tree))
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        key = f"{key if key.isprintable() else repr(key):.200}"
        if problem["type"] == "extra_forbidden":
            raise ConfigError(f"{origin}: unknown key {key}{nearest_key(key)}") from None
        message = problem["msg"].removeprefix("Value error, ")
        if not key:  # about several sections; the sentence names its settings
            raise ConfigError(f"{origin}: {message}") from None
        raise ConfigError(f"{origin}: {key}: {message} (got {problem['input']!r:.200})") from None


def override_config(config: Config, overrides: Sequence[str], origin: str) -> Config:
    """A resolved configuration with `key.path=value` overrides."""
    tree = config.model_dump(mode="json")
    for override in overrides:
        apply_override(tree, override)
    return parse_config(tree, origin)


def apply_override(tree: dict[str, Any], override: str) -> None:
    """Set one `key.path=value`; the value is TOML, and a bare word is a string."""
    key, equals, raw = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(
            f"override {override!r:.100}: write it as key.path=value, for instance steps=100"
        )
    try:
        parsed = parse_toml(f"value = {raw}", override)
        value = parsed["value"] if len(parsed) == 1 else raw  # a second line is no second setting
    except ConfigError:
        value = raw
    node = tree
    *parents, leaf = key.strip().split(".")
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ConfigError(f"override {override!r:.100}: {parent} is a value, not a section")
    node[leaf] = value


def parse_toml(text: str, origin: str) -> dict[str, Any]:
    """`tomllib.loads` whose every failure is a `ConfigError`: syntax, depth, length of numbers."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{origin}: nested too deeply") from None
    except ValueError as error:
        raise ConfigError(f"{origin}: not valid TOML: {error}") from None


def layered(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """One tree over another: a section that sets one key keeps the others of the section below."""
    tree = dict(under)
    for key, value in over.items():
        below = tree.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            value = layered(below, value)
        tree[key] = value
    return tree
