"""The `local` engine over several processes of one node: `torchrun --nproc-per-node N -m gasp_rl.cli`.

Weights, gradients and moments are divided among the processes by FSDP2 (`fully_shard`); each trains
its share of the micro-batches and samples its share of the prompts from a whole copy of the weights.
Process 0 runs the loop as ever; the others follow the verbs that it calls, until `close`.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from gasp_rl.config import EngineConfig, LossConfig, OptimConfig
from gasp_rl.engines.local import TRAINING, WEIGHTS, LocalEngine, Score, Share, read_state
from gasp_rl.engines.memory import Budget, OutOfMemory
from gasp_rl.engines.packing import Pair, micro_batches
from gasp_rl.engines.pretrained import copy_tokenizer, load_policy, writing
from gasp_rl.engines.protocol import Completion, Row, SamplingParams
from gasp_rl.engines.samplers import NativeSampler
from gasp_rl.engines.scoring import checkpoint_layers, score
from gasp_rl.errors import EngineError, GaspError
from gasp_rl.types import Metrics, Tokens


class ShardedEngine(LocalEngine):
    """One process's part. Every process must call the same verbs in the same order."""

    def __init__(self, folder: Path, config: EngineConfig) -> None:
        for setting, wanted in (
            ("lora_rank", 0),
            ("sampler", "native"),
            ("optimizer", "adamw"),
            ("lag", 0),
        ):
            if getattr(config, setting) != wanted:
                raise EngineError(
                    f"engine.{setting}={getattr(config, setting)}: with several processes this "
                    f"engine offers {wanted} only"
                )
        if config.offload_optimizer:
            raise EngineError("engine.offload_optimizer=true: not offered with several processes")
        self._rank, self._ranks = dist.get_rank(), dist.get_world_size()
        super().__init__(folder, config)
        # A rank that retried alone would leave the others waiting.
        self._train_tokens = Budget("engine.train_tokens", config.train_tokens, divisible=False)

    def _trainer(self, config: EngineConfig) -> tuple[Score, nn.Module]:
        """A divided copy of the model. Its shards are float32 whatever it computes in: they are the
        master weights."""
        model = load_policy(self._folder, self._device, torch.float32)
        if config.gradient_checkpointing:
            checkpoint_layers(model)
        scorer = _Scorer(model)
        policy = MixedPrecisionPolicy()
        if self._dtype != torch.float32:
            policy = MixedPrecisionPolicy(param_dtype=self._dtype, reduce_dtype=torch.float32)
        for layer in list(model.modules()):
            if isinstance(layer, GradientCheckpointingLayer):
                fully_shard(layer, mp_policy=policy)
        fully_shard(scorer, mp_policy=policy)
        return scorer, scorer

    def sample(
        self, prompts_P: Sequence[Tokens], n: int, params: SamplingParams
    ) -> list[list[Completion]]:
        """Each rank takes a run of prompts; the draws are those of one process."""
        size = math.ceil(len(prompts_P) / self._ranks)
        begin = self._rank * size
        mine = prompts_P[begin : begin + size]
        assert isinstance(self._sampler, NativeSampler)
        groups = self._sampler.sample(mine, n, params, self.version, first=begin)
        return [group for part in self._gather(groups) for group in part]

    def optim_step(self, optim: OptimConfig) -> Metrics:
        metrics = super().optim_step(optim)
        self._gather_weights()
        return metrics

    def save(self, path: Path) -> None:
        """The same files as one process writes, so that either can continue from the other's."""
        state = tree_map(_whole, self._optimizer.state_dict())
        if self._dtype != torch.float32:
            state["masters"] = [_whole(weight) for weight in self._optimizer.weights]
        if self._rank == 0:
            path.mkdir(parents=True, exist_ok=True)
            with writing(path):
                self._model.save_pretrained(path)
                copy_tokenizer(self._folder, path)
                torch.save({"version": self._published, **state}, path / TRAINING)
        dist.barrier()

    def load(self, path: Path) -> None:
        state = read_state(path, WEIGHTS)
        saved = (
            state["masters"] or load_policy(path, torch.device("cpu"), torch.float32).parameters()
        )
        with torch.no_grad():
            for weight, whole in zip(self._optimizer.weights, saved, strict=True):
                weight.copy_(_divided(whole, weight))
        for number, moments in state["optimizer"]["state"].items():
            like = self._optimizer.weights[number]
            for name, whole in moments.items():
                if whole.ndim:
                    moments[name] = _divided(whole, like)
        self._optimizer.load_state_dict({**state, "masters": []})
        self._gather_weights()
        self._published = state["version"]

    def _shares(self, pairs: Sequence[Pair], budget: int) -> list[Share]:
        """Every rank makes as many forward passes: one that has no micro-batch left repeats the
        first with weight 0. FSDP averages over ranks, where the loss needs the sum."""
        batches = list(micro_batches(pairs, budget))
        shares = []
        for begin in range(0, len(batches), self._ranks):
            mine = begin + self._rank
            if mine < len(batches):
                shares.append(Share(batches[mine], float(self._ranks)))
            else:
                shares.append(Share(batches[0], 0.0))
        return shares

    def _total(self, sums: dict[str, float]) -> dict[str, float]:
        names = sorted(sums)
        values = torch.tensor([sums[name] for name in names], dtype=torch.float64)
        values = values.to(self._device)
        dist.all_reduce(values)
        return dict(zip(names, values.tolist(), strict=True))

    def _gather(self, part: Any) -> list[Any]:
        parts: list[Any] = [None] * self._ranks
        dist.all_gather_object(parts, part)
        return parts

    @torch.no_grad()
    def _gather_weights(self) -> None:
        """Copy the shards into the whole model that samples."""
        for weight, shard in zip(self._model.parameters(), self._optimizer.weights, strict=True):
            weight.copy_(_whole(shard))


class LeadingEngine:
    """The engine that the loop of process 0 sees: each verb runs on all processes."""

    def __init__(self, engine: ShardedEngine) -> None:
        self._engine = engine
        self._together = True  # whether the others wait for a verb
        self.caps = engine.caps
        self.tokenizer = engine.tokenizer

    @property
    def version(self) -> int:
        return self._engine.version

    def sample(
        self, prompts_P: Sequence[Tokens], n: int, params: SamplingParams
    ) -> list[list[Completion]]:
        completions: list[list[Completion]] = self._all("sample", prompts_P, n, params)
        return completions

    def logprobs(
        self, rows: Sequence[tuple[Tokens, Tokens]], of: Literal["policy", "reference"] = "policy"
    ) -> list[tuple[float, ...]]:
        return self._engine.logprobs(rows, of)

    def hidden_means(
        self, texts: Sequence[Tokens], of: Literal["policy", "reference"] = "policy"
    ) -> np.ndarray:
        return self._engine.hidden_means(texts, of)

    def forward_backward(self, rows: Sequence[Row], loss: LossConfig) -> Metrics:
        metrics: Metrics = self._all("forward_backward", rows, loss)
        return metrics

    def optim_step(self, optim: OptimConfig) -> Metrics:
        metrics: Metrics = self._all("optim_step", optim)
        return metrics

    def publish(self) -> int:
        version: int = self._all("publish")
        return version

    def save(self, path: Path) -> None:
        self._all("save", path)

    def load(self, path: Path) -> None:
        self._all("load", path)

    def memory_peak(self) -> Metrics:
        """Of this process."""
        return self._engine.memory_peak()

    def close(self) -> None:
        """Let the other processes end. After a failure in this one alone they wait for something
        else: then this process ends with its error, and torchrun ends them."""
        if self._together:
            self._all("close")

    def _all(self, verb: str, *arguments: object) -> Any:
        dist.broadcast_object_list([(verb, arguments)])
        self._together = False
        try:
            result = getattr(self._engine, verb)(*arguments)
        except GaspError as error:
            self._together = not isinstance(error, OutOfMemory)
            raise
        self._together = True
        return result


def build_sharded(folder: Path, config: EngineConfig) -> LeadingEngine:
    """Join the group. Returns in process 0; the others serve it and then end."""
    if not dist.is_initialized():
        cuda = config.device != "cpu" and torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if cuda else "gloo")
    engine = ShardedEngine(folder, config)
    if dist.get_rank() == 0:
        return LeadingEngine(engine)
    follow(engine)
    raise SystemExit(0)


def follow(engine: ShardedEngine) -> None:
    """Do what process 0 does, until it closes. What is wrong with a call is raised there, too; to
    run out of memory is not, and ends this process."""
    verb = ""
    while verb != "close":
        told: list[Any] = [None]
        dist.broadcast_object_list(told)
        verb, arguments = told[0]
        try:
            getattr(engine, verb)(*arguments)
        except OutOfMemory:
            raise
        except GaspError:
            continue


class _Scorer(nn.Module):
    """`score` as a module: FSDP brings weights together around a module's forward."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        return score(self.model, *args, **kwargs)


def _whole(value: Any) -> Any:
    """A collective call for a divided tensor; anything else is returned as it is."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def _divided(whole: Tensor, like: Tensor) -> Tensor:
    assert isinstance(like, DTensor)
    whole = whole.detach().to(like.device)
    return distribute_tensor(whole, like.device_mesh, like.placements)
