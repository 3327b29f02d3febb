"""A reward of your own: accepted proposals with long messages earn less.

Run it: python examples/new_reward.py runs/short steps=3
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from gasp_rl.config import Config, load_config
from gasp_rl.curriculum.proposals import Proposal
from gasp_rl.curriculum.shaping import Shaping
from gasp_rl.engines.protocol import Engine
from gasp_rl.methods.loop import train
from gasp_rl.methods.session import Session, open_session
from gasp_rl.types import Metrics

FREE_WORDS = 8


@dataclass
class ShortMessages:
    """Acts after what the settings ask for. What was accepted stays accepted."""

    inner: Shaping
    seen: list[int] = field(default_factory=list)

    def __call__(self, proposals: list[Proposal]) -> list[Proposal]:
        return [self._priced(p) for p in self.inner(proposals)]

    def _priced(self, proposal: Proposal) -> Proposal:
        if not proposal.accepted or proposal.task is None:
            return proposal
        words = len(proposal.task.message.split())
        self.seen.append(words)
        return replace(proposal, reward=proposal.reward * FREE_WORDS / max(words, FREE_WORDS))

    def metrics(self) -> Metrics:
        """Called once a step; what it returns is recorded with the step's other metrics."""
        words, self.seen = self.seen, []
        mean = {"teacher/message_words": sum(words) / len(words)} if words else {}
        return self.inner.metrics() | mean


@contextmanager
def opener(config: Config, engine: Engine | None = None) -> Iterator[Session]:
    with open_session(config, engine) as session:
        session.method.shaping = ShortMessages(session.method.shaping)
        yield session


if __name__ == "__main__":
    settings = load_config("demo-quick", sys.argv[2:])
    print(train(settings, Path(sys.argv[1]), opener=opener))
