"""What breaks around a run: disks, folders, files, clocks, workers. One sentence, nothing lost."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_runs import small_run, step_record

from gasp_rl.config import Config, SandboxConfig, override_config
from gasp_rl.engines.scripted import ScriptedEngine
from gasp_rl.errors import ConfigError, GaspError, RunDead, RunStopped, StoreError
from gasp_rl.methods import loop
from gasp_rl.sandbox import Sandbox
from gasp_rl.store import checkpoints
from gasp_rl.store.folder import STOP, ask_to_stop, holder_of, read_config
from gasp_rl.store.progress import Silent
from gasp_rl.store.reader import RunReader
from gasp_rl.store.run import RunStore
from tests.faults.kills import contents
from tests.faults.test_kills import SMALL
from tests.methods.conftest import config, write

__all__ = ["config"]


@pytest.fixture
def small(config: Config) -> Config:
    return override_config(config, [*SMALL, "steps=4", "store.checkpoint_every=1"], "test")


def train(config: Config, path: Path, watcher: Silent | None = None) -> Path:
    return loop.train(config, path, progress=watcher, engine=ScriptedEngine(write))


class AtStep(Silent):
    """Calls a function once a step is committed."""

    def __init__(self, step: int, act: Callable[[], object]) -> None:
        self.step, self.act = step, act
        self.said: list[str] = []

    def step_committed(self, step: int, seconds: float, metrics: dict[str, float]) -> None:
        if step == self.step:
            self.act()

    def say(self, text: str) -> None:
        self.said.append(text)


# -- ending early ----------------------------------------------------------------------------------


def test_stopped_runs_continue_to_the_same_end(small: Config, tmp_path: Path) -> None:
    small = override_config(small, ["store.checkpoint_every=3"], "test")
    handler = signal.getsignal(signal.SIGINT)
    whole = train(small, tmp_path / "whole")
    path = tmp_path / "run"
    with pytest.raises(RunStopped, match=f"Ctrl-C after step 1 of 4.*gasp resume {path}"):
        train(small, path, AtStep(1, lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert checkpoints.list_checkpoints(path / "checkpoints")[-1].step == 1
    with pytest.raises(RunStopped, match="SIGTERM after step 2"):
        loop.resume(
            path, AtStep(2, lambda: os.kill(os.getpid(), signal.SIGTERM)), ScriptedEngine(write)
        )
    with pytest.raises(RunStopped, match="gasp stop"):
        loop.resume(path, AtStep(3, lambda: ask_to_stop(path)), ScriptedEngine(write))
    assert not (path / STOP).exists()
    with RunReader.open(path) as reader:
        assert "gasp stop" in reader.info()["stopped"]
        assert reader.info()["finished"] == ""
    loop.resume(path, engine=ScriptedEngine(write))
    assert contents(path, 4) == contents(whole, 4)
    assert signal.getsignal(signal.SIGINT) is handler


def test_twice_stops_now(small: Config, tmp_path: Path) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(small, tmp_path / "run", AtStep(1, twice))
    with RunReader.open(tmp_path / "run") as reader:
        assert reader.last_step() == 1
    assert holder_of(tmp_path / "run") is None


def test_stopping_what_does_not_run_is_an_error(tmp_path: Path) -> None:
    with small_run(tmp_path) as store:
        assert holder_of(store.path) == os.getpid()
    with pytest.raises(StoreError, match="not running"):
        ask_to_stop(store.path)


def test_a_run_that_learns_nothing_ends(small: Config, tmp_path: Path) -> None:
    def mute(prompt: str, sample: int, random: object) -> str:
        return "I would rather not."

    config = override_config(small, ["stop_when_dead=3"], "test")
    with pytest.raises(RunDead, match="after step 3 of 4, acceptance 0: nearly every") as caught:
        loop.train(config, tmp_path / "run", engine=ScriptedEngine(mute))
    assert caught.value.exit_code == 3
    loop.resume(tmp_path / "run", engine=ScriptedEngine(mute), overrides=["stop_when_dead=0"])
    with RunReader.open(tmp_path / "run") as reader:
        assert reader.last_step() == 4


def test_resuming_changes_the_end_alone(small: Config, tmp_path: Path) -> None:
    whole = train(small, tmp_path / "whole")
    path = train(override_config(small, ["steps=2"], "test"), tmp_path / "run")
    with pytest.raises(ConfigError, match="not seed; `gasp fork`"):
        loop.resume(path, engine=ScriptedEngine(write), overrides=["seed=1"])
    with pytest.raises(ConfigError, match="is at step 2 already; steps=1 is behind it"):
        loop.resume(path, engine=ScriptedEngine(write), overrides=["steps=1"])
    assert read_config(path).steps == 2
    loop.resume(path, engine=ScriptedEngine(write), overrides=["steps=4"])
    assert contents(path, 4) == contents(whole, 4)


# -- damaged files ---------------------------------------------------------------------------------


def test_the_checkpoint_before_a_damaged_one_is_used(small: Config, tmp_path: Path) -> None:
    whole = train(small, tmp_path / "whole")
    path = train(override_config(small, ["steps=3"], "test"), tmp_path / "run")
    weights = path / "checkpoints" / "step_000003" / "scripted.json"
    weights.write_bytes(weights.read_bytes()[:-1])
    watcher = AtStep(0, lambda: None)
    loop.resume(path, watcher, ScriptedEngine(write), ["steps=4"])
    assert any("step_000003" in line and "checksum differs" in line for line in watcher.said)
    assert contents(path, 4) == contents(whole, 4)
    for manifest in path.glob("checkpoints/*/manifest.json"):
        manifest.write_text("{}")
    with pytest.raises(StoreError, match="none of 2 checkpoints is sound"):
        loop.resume(path, engine=ScriptedEngine(write))
    with RunReader.open(path) as reader:
        assert reader.last_step() == 4


def test_files_changed_behind_the_back_are_noticed(small: Config, tmp_path: Path) -> None:
    path = train(small, tmp_path / "run")
    with RunStore.open(path) as store:
        store._db.execute("update proposal set verdict = 'fails' where verdict = 'accepted'")
    with pytest.raises(StoreError, match="they were changed since"):
        loop.resume(path, engine=ScriptedEngine(write), overrides=[f"steps={small.steps + 1}"])


@pytest.mark.parametrize("damage", [b"", b"{", b'{"steps": "many"}', b"\xff\xfe"])
def test_a_damaged_config_is_one_sentence(tmp_path: Path, damage: bytes) -> None:
    with small_run(tmp_path) as store:
        pass
    (store.path / "config.json").write_bytes(damage)
    with pytest.raises(StoreError, match=r"config\.json: cannot be read") as caught:
        RunStore.open(store.path)
    assert "\n" not in str(caught.value)


def test_a_folder_given_up_before_its_database_is_taken_over(tmp_path: Path) -> None:
    with small_run(tmp_path) as store:
        pass
    for name in ("run.db", "metrics.jsonl", "log.txt"):
        (store.path / name).unlink()
    (store.path / "run.db.partial").write_bytes(b"half")
    with RunStore.create(Config(), store.path) as again:
        again.add_goalposts([])
    (store.path / "run.db").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="not empty"):  # it has run before: log.txt says so
        RunStore.create(Config(), store.path)


# -- disks and folders -----------------------------------------------------------------------------


@contextlib.contextmanager
def tiny_disk() -> Iterator[Path]:
    """A file system of two megabytes, where this user may mount one."""
    folder = Path(tempfile.mkdtemp())
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this user may not mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


def commit_until_it_fails(store: RunStore) -> None:
    for step in range(3, 200):
        store.commit_step(step_record(step))


def test_a_full_disk_loses_no_committed_step() -> None:
    with tiny_disk() as disk:
        store = small_run(disk, steps=2)
        filler = disk / "filler"
        with contextlib.suppress(OSError):
            filler.write_bytes(os.urandom(4 << 20))
        with pytest.raises(StoreError, match=r"run\.db: .*(full|disk)") as caught:
            commit_until_it_fails(store)
        assert "\n" not in str(caught.value)
        committed = store.reader.last_step()
        with contextlib.suppress(StoreError):
            store.close()
        filler.unlink()
        with RunStore.open(disk / "small") as again:
            assert again.reader.last_step() == committed
            again.commit_step(step_record(committed + 1))


def test_a_run_whose_disk_fills_goes_on_once_there_is_space(small: Config, tmp_path: Path) -> None:
    whole = train(small, tmp_path / "whole")
    with tiny_disk() as disk:
        filler = disk / "filler"

        def fill() -> None:
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while file.write(b"x" * 4096):
                    pass

        with pytest.raises(StoreError, match=r"full|space|disk") as caught:
            train(small, disk / "run", AtStep(2, fill))
        assert "\n" not in str(caught.value)
        filler.unlink()
        loop.resume(disk / "run", engine=ScriptedEngine(write))
        assert contents(disk / "run", 4) == contents(whole, 4)


_GROWS = """
import resource, sys
from pathlib import Path
from gasp_rl.errors import StoreError
from gasp_rl.store.run import RunStore
from small_runs import step_record
store = RunStore.open(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    for step in range(3, 2000):
        store.commit_step(step_record(step))
except StoreError as error:
    print(error)
"""


def test_a_file_that_may_not_grow_loses_no_committed_step(tmp_path: Path) -> None:
    small_run(tmp_path, steps=2).close()
    path = tmp_path / "small"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "store")}
    done = subprocess.run(
        [sys.executable, "-c", _GROWS, str(path)], capture_output=True, text=True, env=environment
    )
    assert str(path) in done.stdout, done.stderr
    assert len(done.stdout.splitlines()) == 1
    with RunStore.open(path) as store:
        last = store.reader.last_step()
        assert last > 2
        store.commit_step(step_record(last + 1))


def test_space_is_asked_for_before_anything_is_written(tmp_path: Path) -> None:
    with small_run(tmp_path) as store:
        with pytest.raises(StoreError, match=r"MiB free, a checkpoint needs"):
            store.require_space(1 << 60)

        def write_big(path: Path) -> None:
            with (path / "weights").open("wb") as file:
                file.truncate(1 << 43)  # sparse: it takes no space and counts as a huge checkpoint

        folder = store.checkpoints / "step_000001"
        folder.mkdir(parents=True)
        (folder / "DONE").touch()
        write_big(folder)
        with pytest.raises(StoreError, match="free some space"):
            store.save_checkpoint(2, lambda path: (path / "w").write_bytes(b"w") and None)
        assert [p.name for p in store.checkpoints.iterdir()] == ["step_000001"]


def as_nobody(act: Callable[[], object]) -> str:
    """What an action raises in a process without root's rights."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setegid(65534)
            os.seteuid(65534)
        said = "nothing was raised"
        try:
            act()
        except GaspError as error:
            said = str(error)
        finally:
            os.write(writer, said.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        text = told.read()
    os.waitpid(child, 0)
    return text


def test_a_read_only_folder_is_one_sentence() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        with small_run(root) as store:
            pass
        root.chmod(0o755)
        for path in (*store.path.iterdir(), store.path, root):
            path.chmod(0o555 if path.is_dir() else 0o444)
        opened = as_nobody(lambda: RunStore.open(store.path))
        created = as_nobody(lambda: RunStore.create(Config(), root / "new"))
        for said in (opened, created):
            assert str(root) in said
            assert "Permission denied" in said
            assert "\n" not in said
        assert as_nobody(lambda: RunReader.open(store.path)) == "nothing was raised"
        for path in (root, store.path):
            path.chmod(0o755)


def test_a_home_that_cannot_be_written_does_not_matter(
    small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/proc")  # not even root writes there
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    path = train(override_config(small, ["steps=1"], "test"), tmp_path / "run")
    with RunReader.open(path) as reader:
        assert reader.info()["finished"] == "yes"


# -- trackers, clocks and workers ------------------------------------------------------------------


def test_a_tracker_that_is_down_changes_nothing(small: Config, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason='pip install "gasp-rl[tensorboard]"')
    whole = train(small, tmp_path / "whole")
    tracked = override_config(small, ["steps=1", 'track=["tensorboard"]'], "test")
    path = train(tracked, tmp_path / "run")
    shutil.rmtree(path / "tensorboard")
    (path / "tensorboard").write_text("no folder, so that nothing can be written in it")
    watcher = AtStep(0, lambda: None)
    loop.resume(path, watcher, ScriptedEngine(write), ["steps=4"])
    assert [line for line in watcher.said if "tracker tensorboard failed" in line]
    assert contents(path, 4) == contents(whole, 4)


def test_clocks_that_jump_change_nothing(
    small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(small, tmp_path / "whole")
    jumps = iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: 2e9 - 1e6 * next(jumps))
    assert contents(train(small, tmp_path / "run"), 4) == contents(whole, 4)


class KillsWorkers(Silent):
    """Kills every sandbox worker when a phase begins, and once more while it goes on."""

    def __init__(self) -> None:
        self.killed = 0

    def start_phase(self, name: str, total: int | None = None) -> None:
        for pid in children_of(os.getpid()):
            os.kill(pid, signal.SIGKILL)
            self.killed += 1


def children_of(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            text = stat.read_text()
            if int(text.rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def test_ctrl_c_at_a_terminal_does_not_reach_the_sandbox() -> None:
    others = set(children_of(os.getpid()))  # a browser of other tests, say
    with Sandbox(SandboxConfig(workers=1)):
        workers = set(children_of(os.getpid())) - others
        assert workers
        assert os.getpgrp() not in {os.getpgid(pid) for pid in workers}


def test_sandbox_workers_that_die_change_nothing(small: Config, tmp_path: Path) -> None:
    small = override_config(small, ["steps=2"], "test")
    whole = train(small, tmp_path / "whole")
    watcher = KillsWorkers()
    assert contents(train(small, tmp_path / "run", watcher), 2) == contents(whole, 2)
    assert watcher.killed >= 4
