"""Where the wall time goes: seconds by part of the work, for people to look at. Decides nothing."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Stopwatch:
    """Seconds spent in named parts (`sampling`, `judging`, `training`), since it was made."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a block. Parts do not nest: an inner one would be counted twice."""
        start = time.perf_counter()
        yield
        self._seconds[name] += time.perf_counter() - start

    def seconds(self) -> dict[str, float]:
        """What was spent so far, by part."""
        return dict(self._seconds)

    def since(self, before: Mapping[str, float]) -> dict[str, float]:
        """What was spent after an earlier `seconds`, by part."""
        return {name: spent - before.get(name, 0.0) for name, spent in self._seconds.items()}
