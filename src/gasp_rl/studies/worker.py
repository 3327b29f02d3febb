"""One run of a study in its own process: train or resume it, then measure it.

`python -m gasp_rl.studies.worker FOLDER RUN`, started by `studies.schedule`. It ends when its
standard input closes, so that no run outlives a study that was killed.
"""

import os
import sys
import threading
from pathlib import Path

from gasp_rl.errors import GaspError
from gasp_rl.methods.loop import resume, train
from gasp_rl.store.progress import LinesOnly
from gasp_rl.store.run import RunStore
from gasp_rl.studies.measure import measure_run
from gasp_rl.studies.measured import measured_file, write_measured
from gasp_rl.studies.study import Plan, Run, read_plan, run_folder


def main() -> int:
    """Exit code 0 when the run is trained and measured; an error is the last line of its log."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder = Path(sys.argv[1])
    try:
        plan = read_plan(folder)
        advance(plan, plan.run(sys.argv[2]), folder)
    except GaspError as error:
        print(f"error: {error}", flush=True)
        return 2
    return 0


def advance(plan: Plan, run: Run, folder: Path) -> None:
    """Bring a run from wherever it is to its end."""
    path = run_folder(folder, run)
    if not (path / "run.db").is_file():
        if run.train:
            train(run.config, path, progress=LinesOnly())
        else:
            RunStore.create(run.config, path).close()
    elif run.train and not _has_ended(path):
        resume(path, progress=LinesOnly())
    write_measured(measured_file(folder, run), measure_run(path, run, plan.study, LinesOnly()))


def _has_ended(path: Path) -> bool:
    with RunStore.open_readonly(path) as reader:
        return reader.info().get("finished") == "yes"


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
