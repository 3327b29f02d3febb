"""An engine of your own: one engine samples while another trains, say on two devices.

Run it: python examples/new_engine.py runs/split steps=2
"""

import sys
from pathlib import Path

from gasp_rl.config import Config, load_config
from gasp_rl.engines.factory import build_engine
from gasp_rl.engines.protocol import Engine
from gasp_rl.methods.loop import train
from gasp_rl.miniature.assets import model_folder


class SplitEngine:
    """`sample` goes to one engine, all else to the other; `publish` carries the weights over."""

    def __init__(self, trainer: Engine, sampler: Engine, exchange: Path) -> None:
        """exchange: a folder that both can reach."""
        self.trainer, self.sampler, self.exchange = trainer, sampler, exchange
        self.caps, self.tokenizer = trainer.caps, trainer.tokenizer
        self.logprobs, self.save = trainer.logprobs, trainer.save
        self.forward_backward, self.optim_step = trainer.forward_backward, trainer.optim_step
        self.sample = sampler.sample

    @property
    def version(self) -> int:
        return self.sampler.version

    def publish(self) -> int:
        self.trainer.publish()
        self.trainer.save(self.exchange)
        self.sampler.load(self.exchange)
        return self.version

    def load(self, path: Path) -> None:
        self.trainer.load(path)
        self.sampler.load(path)

    def close(self) -> None:
        self.trainer.close()
        self.sampler.close()


def build_split(config: Config, exchange: Path) -> SplitEngine:
    """Two engines as the settings ask for; where they differ is yours to decide."""
    folder = model_folder(config.model.path)
    return SplitEngine(build_engine(config, folder), build_engine(config, folder), exchange)


if __name__ == "__main__":
    run = Path(sys.argv[1])
    settings = load_config("demo-quick", sys.argv[2:])
    exchange = run.with_name(f"{run.name}-exchange")
    print(train(settings, run, engine=build_split(settings, exchange)))
