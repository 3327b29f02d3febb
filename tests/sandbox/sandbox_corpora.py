"""Where the corpora lie that tests read; outside the repository."""

import json
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = Path(os.environ.get("GASP_HOSTILE_DATA", ROOT.parent / "shared" / "hostile"))
DATA = Path(os.environ.get("GASP_TEST_DATA", ROOT.parent / "shared" / "data"))


def read_jsonl(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def hostile_items():
    path = HOSTILE / "corpus.jsonl"
    return read_jsonl(path) if path.exists() else []
