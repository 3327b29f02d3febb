"""Lets these tests build runs with the helpers of tests/store."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))
