"""Where breadth goes: pass@20 of a study of the miniature, split by open constants.

    python bench/open_constants.py STUDY

Reads what `gasp study run` measured; each run is shown at the checkpoint that validation chose.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean

from gasp_rl.evals.passk import pass_at_k
from gasp_rl.miniature import assets
from gasp_rl.store.reader import RunReader


def main(study: Path) -> None:
    questions = {q.id: q for q in assets.questions("miniature", "test")}
    values = defaultdict(list)
    for path in sorted((study / "runs").iterdir()):
        with RunReader.open(path) as reader:
            chosen = json.loads(reader.info()["chosen"])["pass@20"]
            for row in reader.evals("test"):
                if (row.step, row.temperature) == (chosen["step"], chosen["temperature"]):
                    question = questions[row.question]
                    key = (path.name.rpartition("-")[0], *question.tags, question.difficulty)
                    values[key].append(pass_at_k(row.total, row.correct, 20))
    for (arm, tag, depth), found in sorted(values.items()):
        print(f"{arm:<6} {tag:<16} depth {depth}  {fmean(found):.3f}  ({len(found)} of all seeds)")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
