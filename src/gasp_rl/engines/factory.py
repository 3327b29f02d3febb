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
    if config.engine.name == "scripted":
        raise ConfigError(
            "engine.name=scripted: it is built from a Python function, by tests; a run needs "
            "engine.name=local or engine.name=tinker"
        )
    if find_spec("torch") is None or find_spec("transformers") is None:
        raise MissingExtraError("train", f"engine.name={config.engine.name}")
    if config.model.adapter is not None and not config.engine.lora_rank:
        raise ConfigError(
            f"model.adapter={config.model.adapter}: set engine.lora_rank to its rank, or name it as "
            "model.path to train all weights from it"
        )
    engine: Engine
    if config.engine.name == "tinker":
        from gasp_rl.engines.tinker_engine import TinkerEngine

        base_model = config.tinker.base_model or str(model_path)
        engine = TinkerEngine(model_path, base_model, config.engine, config.tinker)
    elif processes() > 1:
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
    if loss.entropy_coef and not caps.entropy_bonus:
        raise EngineError(
            f"loss.entropy_coef={loss.entropy_coef}: this engine sees no whole distributions; set "
            "it to 0"
        )
    if config.optim.max_grad_norm and not caps.gradient_clipping:
        raise EngineError(
            f"optim.max_grad_norm={config.optim.max_grad_norm}: this engine's server does not clip "
            "as it is told; set it to 0"
        )
    for setting, temperature in _training_temperatures(config).items():
        if temperature != 1 and not caps.tempered_rows:
            raise EngineError(
                f"{setting}={temperature}: this engine trains at temperature 1 alone; set it to 1"
            )


def _training_temperatures(config: Config) -> dict[str, float]:
    """Of what is trained on, by the settings' names."""
    found = {"student.sampling.temperature": config.student.sampling.temperature}
    if config.method != "rlvr":
        found["teacher.sampling.temperature"] = config.teacher.sampling.temperature
    if config.student.learn_from_probes != "none":
        found["probe.temperature"] = config.probe.temperature
    return found
