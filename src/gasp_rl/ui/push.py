"""A run for the Hugging Face Hub: weights, curriculum, settings, and a model card made from them.

Everything that is sent lies in one folder first, which `--dry-run` leaves for inspection.
"""

import importlib
import importlib.util
import re
import shutil
from pathlib import Path

from gasp_rl.errors import ConfigError, MissingExtraError, StoreError
from gasp_rl.store.checkpoints import find_checkpoint, verify_checkpoint
from gasp_rl.store.export import ExportWhat, export
from gasp_rl.store.reader import RunReader
from gasp_rl.ui.safe import one_line
from gasp_rl.ui.summary import report_markdown, run_summary

NOT_SENT = {"DONE", "manifest.json", "training.pt"}
"""Files of a checkpoint that only resuming needs."""

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)


def write_folder(reader: RunReader, folder: Path, step: int | None = None) -> Path:
    """What a push of this run would send, in a new folder. Without `step`, the last checkpoint."""
    checkpoint = find_checkpoint(reader.path, step)
    verify_checkpoint(checkpoint.path)
    if folder.exists() and any(folder.iterdir()):
        raise StoreError(f"{folder}: exists and is not empty; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(checkpoint.path.iterdir()):
        if file.is_file() and file.name not in NOT_SENT:
            shutil.copyfile(file, folder / file.name)
    (folder / "run").mkdir()
    for name in ("config.json", "recipe.toml", "metrics.jsonl", "controls.md"):
        if (reader.path / name).is_file():
            shutil.copyfile(reader.path / name, folder / "run" / name)
    if reader.counts()["node"]:
        (folder / "data").mkdir()
        export(reader, ExportWhat.CURRICULUM, folder / "data" / "curriculum.jsonl")
    card = model_card(reader, checkpoint.step)
    (folder / "README.md").write_text(card, encoding="utf-8")
    return folder


def model_card(reader: RunReader, step: int) -> str:
    """The card as Markdown with its front matter. Nothing in it is claimed that the run does not
    hold: no licence is guessed, a scripted engine and synthetic data are named."""
    config, counts = reader.config(), reader.counts()
    base = str(config.get("model", {}).get("path", ""))
    tags = ["gasp-rl", "reinforcement-learning", "self-play", "code", str(config.get("method", ""))]
    front = ["---", "library_name: transformers", "pipeline_tag: text-generation", "tags:"]
    front += [f"- {tag}" for tag in tags if re.fullmatch(r"[\w+.-]+", tag, re.ASCII)]
    if REPOSITORY.fullmatch(base) and "/" in base:
        front.append(f"base_model: {base}")
    if counts["node"]:
        front += ["configs:", "- config_name: curriculum", "  data_files: data/curriculum.jsonl"]
    front.append("---")
    name = one_line(reader.path.name, 100)
    engine = config.get("engine", {}).get("name", "")
    parts = [
        "\n".join(front),
        f"# {_inert(name)}",
        f"Weights after step {step} of a run of gasp-rl: guided "
        "asymmetric self-play for coding language models (GASP, arXiv 2603.15957). A teacher "
        "invents easier and harder variants of hard questions, the student learns from those at "
        "the edge of what it can do, and a sandbox judges.",
        f"Trained from {_inert(one_line(base, 100)) or 'unknown weights'} with the method "
        f"{_inert(str(config.get('method', '')))}, seed {config.get('seed')}; every setting is in "
        "`run/config.json`, every step's metrics in `run/metrics.jsonl`.",
    ]
    if engine == "scripted":
        parts.append("**The engine was scripted: no model was trained in this run.**")
    if counts["node"]:
        parts.append(
            f"`data/curriculum.jsonl` holds the {counts['node']:,} tasks that the teacher invented "
            "and that passed every check, with lineage: prompt, completion and examples to judge "
            "by. They were written by a model and checked by running them, and by nobody."
        )
    controls = reader.path / "controls.md"
    if controls.is_file():
        parts.append("## Base against trained\n\n" + controls.read_text(encoding="utf-8").strip())
    body = report_markdown({"runs": [run_summary(reader)]})
    parts.append(body.replace("# gasp report\n\n", "", 1))
    return "\n\n".join(parts)


def push(folder: Path, repository: str, *, private: bool = True) -> str:
    """Create the repository where it is missing and send the folder; returns its address.

    Raises MissingExtraError without huggingface_hub, StoreError when the Hub refuses.
    """
    check_repository(repository)
    if importlib.util.find_spec("huggingface_hub") is None:
        raise MissingExtraError("hub", "pushing to the Hub")
    hub = importlib.import_module("huggingface_hub")
    api = hub.HfApi()
    try:
        made = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(
            folder_path=str(folder), repo_id=made.repo_id, commit_message="Push a run of gasp-rl"
        )
    except _refusals() as error:
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise StoreError(f"{repository}: not pushed: {one_line(reason, 300)}") from error
    return str(made)


def check_repository(repository: str) -> None:
    """Raise ConfigError for a name that the Hub cannot take."""
    if not REPOSITORY.fullmatch(repository):
        raise ConfigError(f"{repository[:80]!r} is no repository of the Hub; write it as user/name")


def _refusals() -> tuple[type[Exception], ...]:
    """Refused, unreachable, or no token: what a person can mend. Which library speaks HTTP changes
    with the release."""
    errors = importlib.import_module("huggingface_hub.errors")
    spoken = [name for name in ("httpx2", "httpx") if importlib.util.find_spec(name)]
    unreachable = [importlib.import_module(name).HTTPError for name in spoken]
    return (errors.HfHubHTTPError, errors.HFValidationError, OSError, *unreachable)


def _inert(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", text)
