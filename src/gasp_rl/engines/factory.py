"""Makes the engine that a configuration asks for. Torch is imported here, and only when needed."""

import os
from importlib.util import find_spec
from pathlib import Path

from gasp_rl.config import Config
from gasp_rl.engines.protocol import Engine
from gasp_rl.errors import ConfigError, EngineError, MissingExtraError


def build_engine(config: Config, model_path: Path) -> Engine:
    """The engine of `config.engine` over the model folder `model_path`.

    Raises `MissingExtraError` without torch, `EngineError` when the engine lacks what the loss
    configuration asks for.
    """
    if config.engine.name != "local":
        raise ConfigError(
            f"engine.name={config.engine.name}: it is built from a Python function, by tests; "
            "a run needs engine.name=local"
        )
    if find_spec("torch") is None or find_spec("transformers") is None:
        raise MissingExtraError("train", "engine.name=local")
    if config.model.adapter is not None and not config.engine.lora_rank:
        raise ConfigError(
            f"model.adapter={config.model.adapter}: set engine.lora_rank to its rank, or name it as "
            "model.path to train all weights from it"
        )
    engine: Engine
    if processes() > 1:
        from gasp_rl.engines.sharded import build_sharded

        engine = build_sharded(model_path, config.engine)
    else:
        from gasp_rl.engines.local import LocalEngine

        engine = LocalEngine(model_path, config.engine, config.model.adapter)
    require(engine, config)
    return engine


def processes() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def require(engine: Engine, config: Config) -> None:
    """Refuse, before anything is sampled, a loss that the engine does not offer."""
    caps, loss = engine.caps, config.loss
    if loss.name not in caps.losses:
        offers = ", ".join(sorted(caps.losses))
        raise EngineError(f"loss.name={loss.name}: this engine offers {offers}")
    if loss.reduction not in caps.reductions:
        offers = ", ".join(sorted(caps.reductions))
        raise EngineError(f"loss.reduction={loss.reduction}: this engine offers {offers}")
    if loss.kl_coef and not caps.reference_logprobs:
        raise EngineError(f"loss.kl_coef={loss.kl_coef}: this engine has no reference; set it to 0")
