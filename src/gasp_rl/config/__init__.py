"""Configuration: frozen models, TOML recipes, `key.path=value` overrides. Loads no torch.

Every field's docstring is its help text (`gasp config`). Unknown keys are errors that name the
nearest key. Derived numbers are computed, never set.
"""

from gasp_rl.config.azr import AzrConfig, CompositeConfig, IntrinsicConfig
from gasp_rl.config.keys import describe_keys, known_keys
from gasp_rl.config.parsing import override_config, parse_config
from gasp_rl.config.recipes import load_config, recipe_names, recipe_text
from gasp_rl.config.run import Config
from gasp_rl.config.section import Section
from gasp_rl.config.selfplay import (
    AlignmentConfig,
    BandConfig,
    NoveltyConfig,
    ProbeConfig,
    RenewalConfig,
    RlvrConfig,
    StudentConfig,
    TeacherConfig,
)
from gasp_rl.config.surroundings import (
    BudgetConfig,
    EvalConfig,
    PlanConfig,
    SandboxConfig,
    StoreConfig,
)
from gasp_rl.config.training import (
    AdvantageConfig,
    DataConfig,
    EngineConfig,
    LossConfig,
    ModelConfig,
    OptimConfig,
    SamplingConfig,
    TinkerConfig,
)

__all__ = [
    "AdvantageConfig",
    "AlignmentConfig",
    "AzrConfig",
    "BandConfig",
    "BudgetConfig",
    "CompositeConfig",
    "Config",
    "DataConfig",
    "EngineConfig",
    "EvalConfig",
    "IntrinsicConfig",
    "LossConfig",
    "ModelConfig",
    "NoveltyConfig",
    "OptimConfig",
    "PlanConfig",
    "ProbeConfig",
    "RenewalConfig",
    "RlvrConfig",
    "SamplingConfig",
    "SandboxConfig",
    "Section",
    "StoreConfig",
    "StudentConfig",
    "TeacherConfig",
    "TinkerConfig",
    "describe_keys",
    "known_keys",
    "load_config",
    "override_config",
    "parse_config",
    "recipe_names",
    "recipe_text",
]
