"""Every key that a recipe may set, with default and meaning."""

import difflib
from typing import Any

from pydantic import BaseModel

from gasp_rl.config.run import Config


def known_keys(section: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """Every key path that a recipe may set."""
    keys: list[str] = []
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys += known_keys(inner, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return keys


def describe_keys() -> list[tuple[str, str, str]]:
    """(key path, default, meaning) of every setting, in the order of the sections."""
    rows = []
    for path in known_keys():
        section: type[BaseModel] = Config
        default: Any = Config()
        *parents, leaf = path.split(".")
        for parent in parents:
            default = getattr(default, parent)
            section = type(default)
        meaning = section.model_fields[leaf].description or ""
        rows.append((path, str(getattr(default, leaf)), " ".join(meaning.split())))
    return rows


def nearest_key(key: str) -> str:
    """The end of a sentence about an unknown key: which ones it may have been."""
    leaf = key.rpartition(".")[2].lower()
    same = [known for known in known_keys() if known.rpartition(".")[2] == leaf]
    near = same if 0 < len(same) <= 3 else difflib.get_close_matches(key, known_keys(), 1)
    return f"; did you mean {' or '.join(near)}?" if near else "; `gasp config` lists the keys"
