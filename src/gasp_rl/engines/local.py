"""The `local` engine: one policy in this process, on a CPU or one GPU, full weights or LoRA."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from gasp_rl.config import EngineConfig, LossConfig, OptimConfig
from gasp_rl.engines.adapter import ADAPTER_WEIGHTS, adapter_off, attach, load_adapter
from gasp_rl.engines.determinism import deterministic_operations
from gasp_rl.engines.lag import Lag
from gasp_rl.engines.memory import Budget, MemoryPeak
from gasp_rl.engines.objective import TokenBatch, objective
from gasp_rl.engines.optimizer import MasterOptimizer
from gasp_rl.engines.packing import Packed, Pair, micro_batches, pack, shortest
from gasp_rl.engines.pretrained import (
    FolderTokenizer,
    copy_tokenizer,
    embedding_rows,
    load_policy,
    load_weights,
    require_rows,
    stop_ids,
    writing,
)
from gasp_rl.engines.protocol import Caps, Completion, Row, SamplingParams, Tokenizer
from gasp_rl.engines.samplers import make_sampler
from gasp_rl.engines.scoring import (
    checkpoint_layers,
    mean_hidden_states,
    pair_logprobs,
    score,
)
from gasp_rl.errors import DataError, EngineError
from gasp_rl.learning import losses
from gasp_rl.types import Metrics, Tokens

WEIGHTS, TRAINING = "model.safetensors", "training.pt"

Score = Callable[..., tuple[Tensor, Tensor]]
"""`scoring.score` with its model."""


class LocalEngine:
    """Samples from and trains the model of a folder."""

    caps = Caps(
        losses=frozenset({"ppo", "policy-gradient"}),
        reductions=frozenset({"token-mean", "sequence-mean"}),
        reference_logprobs=True,
        exact_resume=True,
    )

    def __init__(self, folder: Path, config: EngineConfig, adapter: Path | None = None) -> None:
        """adapter: a LoRA adapter to begin from; the reference is then still the folder's model."""
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        self._memory = MemoryPeak(_device(config.device))
        self._published = 0
        self._folder = folder
        self._device = _device(config.device)
        self._dtype = getattr(torch, config.dtype)
        self._model = load_policy(folder, self._device, self._dtype)
        self._has_adapter = config.lora_rank > 0
        if self._has_adapter:
            attach(self._model, config.lora_rank, config.lora_alpha)
        if adapter is not None:
            load_adapter(self._model, adapter)
        if config.gradient_checkpointing:
            checkpoint_layers(self._model)
        self._stop_ids = stop_ids(self._model.config, self._model.generation_config)
        tokenizer = FolderTokenizer(folder, self._stop_ids[0])
        require_rows(embedding_rows(self._model), tokenizer, folder)
        self.tokenizer: Tokenizer = tokenizer
        self._frozen: PreTrainedModel | None = None
        self._score, trained = self._trainer(config)
        self._optimizer = MasterOptimizer(trained, config.optimizer, config.offload_optimizer)
        self._train_tokens = Budget("engine.train_tokens", config.train_tokens)
        self._lag = Lag(self._optimizer.weights) if config.lag else None
        self._sampler = make_sampler(config, self._model, self._stop_ids, folder)
        self._deterministic = config.deterministic and self._device.type == "cuda"
        same_bits = self._sampler.exact and (self._deterministic or self._device.type == "cpu")
        self.caps = replace(self.caps, exact_resume=same_bits)

    @property
    def version(self) -> int:
        return max(0, self._published - 1) if self._lag else self._published

    def _trainer(self, config: EngineConfig) -> tuple[Score, nn.Module]:
        """What scores with gradients, and the module whose weights are trained."""
        return partial(score, self._model), self._model

    def sample(
        self, prompts_P: Sequence[Tokens], n: int, params: SamplingParams
    ) -> list[list[Completion]]:
        with self._sampled_weights():
            return self._sampler.sample(prompts_P, n, params, self.version)

    def logprobs(
        self, rows: Sequence[tuple[Tokens, Tokens]], of: Literal["policy", "reference"] = "policy"
    ) -> list[tuple[float, ...]]:
        def attempt(budget: int) -> list[tuple[float, ...]]:
            if of == "policy":
                return pair_logprobs(self._model, rows, budget)
            with self._reference() as model:
                return pair_logprobs(model, rows, budget)

        return self._train_tokens.spend(attempt, least=shortest(rows))

    def hidden_means(
        self, texts: Sequence[Tokens], of: Literal["policy", "reference"] = "policy"
    ) -> np.ndarray:
        """Mean of the last hidden states over the tokens of each text, [texts, width] float32."""
        if of == "policy":
            return mean_hidden_states(self._model, texts, self._train_tokens.size).numpy()
        with self._reference() as model:
            return mean_hidden_states(model, texts, self._train_tokens.size).numpy()

    def forward_backward(self, rows: Sequence[Row], loss: LossConfig) -> Metrics:
        """Gradients add up until `optim_step`. Metrics are means over the batch's tokens.

        When memory runs out, the batch begins again in smaller parts: `train/out_of_memory` counts.
        """
        if not rows:
            raise EngineError("forward_backward: no rows; a step needs at least one")
        earlier = [weight.grad for weight in self._optimizer.weights]
        halvings = self._train_tokens.halvings

        def attempt(budget: int) -> Metrics:
            for weight in self._optimizer.weights:  # a failed attempt left a part of a gradient
                weight.grad = None
            with deterministic_operations() if self._deterministic else nullcontext():
                return self._backward(rows, loss, budget)

        pairs = [(row.prompt, row.tokens_T) for row in rows]
        try:
            metrics = self._train_tokens.spend(attempt, least=shortest(pairs))
        except EngineError:
            self._optimizer.clear()  # of a batch that cannot be done, no part may be stepped on
            raise
        for weight, gradient in zip(self._optimizer.weights, earlier, strict=True):
            if gradient is not None:
                weight.grad = gradient if weight.grad is None else weight.grad.add_(gradient)
        if self._train_tokens.halvings > halvings:
            metrics["train/out_of_memory"] = float(self._train_tokens.halvings - halvings)
        return metrics

    def _backward(self, rows: Sequence[Row], loss: LossConfig, budget: int) -> Metrics:
        """The gradient of one batch, micro-batch by micro-batch."""
        pairs = [(row.prompt, row.tokens_T) for row in rows]
        lengths = torch.tensor([len(row.tokens_T) for row in rows])
        weights = losses.token_weights(lengths, loss.reduction).split(lengths.tolist())
        sums: defaultdict[str, float] = defaultdict(float)
        for share in self._shares(pairs, budget):
            packed = pack([pairs[i] for i in share.indices], self._device, self._dtype)
            chosen = [rows[i] for i in share.indices]
            batch = TokenBatch(chosen, [weights[i] for i in share.indices], self._device)
            for name, value in self._backward_batch(packed, batch, loss, share.scale).items():
                sums[name] += value if share.scale else 0.0
        totals = self._total(sums)
        tokens = float(lengths.sum())
        metrics = {name: value / tokens for name, value in totals.items() if name != "loss"}
        return metrics | {"loss": totals["loss"], "tokens": tokens}

    def _shares(self, pairs: Sequence[Pair], budget: int) -> list["Share"]:
        """This process's micro-batches: all of them."""
        return [Share(indices, 1.0) for indices in micro_batches(pairs, budget)]

    def _total(self, sums: Metrics) -> Metrics:
        """Sums over all processes: over this one."""
        return sums

    def _backward_batch(
        self, packed: Packed, batch: TokenBatch, loss: LossConfig, scale: float
    ) -> Metrics:
        """One micro-batch: its part of the loss, and sums over its tokens."""
        logprobs_N, entropy_N = self._score(
            packed, batch.temperatures_N, entropy_gradient=loss.entropy_coef > 0
        )
        reference_N = None
        if loss.kl_coef:
            with torch.no_grad(), self._reference() as model:
                reference_N, _ = score(model, packed, batch.temperatures_N)
        total, sums = objective(logprobs_N, entropy_N, batch, loss, reference_N)
        (scale * total).backward()
        return sums

    def optim_step(self, optim: OptimConfig) -> Metrics:
        before = self._lag.remember if self._lag else None
        return {"policy/grad_norm": self._optimizer.step(optim, before)}

    def publish(self) -> int:
        """Samplers in process share the trainer's weights: there only the version changes."""
        with self._sampled_weights():
            self._sampler.publish()
        self._published += 1
        return self.version

    def save(self, path: Path) -> None:
        """A folder that transformers can open (of LoRA, the adapter alone and where its base lies),
        with `training.pt` beside the weights."""
        path.mkdir(parents=True, exist_ok=True)
        state = {"version": self._published, **self._optimizer.state_dict()}
        if self._lag:
            state["older"] = self._lag.older
        with writing(path):
            self._model.save_pretrained(path)
            copy_tokenizer(self._folder, path)
            if self._has_adapter:
                self._model.config.save_pretrained(path)
            torch.save(state, path / TRAINING)

    def load(self, path: Path) -> None:
        """Continue from what `save` wrote. The reference stays the model that this engine began
        with."""
        state = read_state(path, ADAPTER_WEIGHTS if self._has_adapter else WEIGHTS)
        if self._has_adapter:
            load_adapter(self._model, path)
        else:
            load_weights(self._model, path, self._dtype)
        self._optimizer.load_state_dict(state)
        if self._lag:
            self._lag.remember(state.get("older"))
        with self._sampled_weights():
            self._sampler.publish()
        self._published = state["version"]

    def memory_peak(self) -> Metrics:
        """Bytes that were held at most so far, under the name of where."""
        return self._memory.metrics()

    def close(self) -> None:
        """Memory is freed with the object; a sampler may hold more."""
        self._sampler.close()

    def _sampled_weights(self) -> AbstractContextManager[None]:
        """In the model, the weights that `sample` uses: with a lag not the trainer's."""
        return self._lag.in_place() if self._lag else nullcontext()

    @contextmanager
    def _reference(self) -> Iterator[PreTrainedModel]:
        """The initial weights: the model without its adapter, or read again when first asked for."""
        if self._has_adapter:
            with adapter_off(self._model) as model:
                yield model
            return
        if self._frozen is None:
            self._frozen = load_policy(self._folder, self._device, self._dtype)
            self._frozen.requires_grad_(False)
        yield self._frozen


@dataclass(frozen=True, slots=True)
class Share:
    """One micro-batch of a process: which rows, and what its gradient is multiplied by."""

    indices: list[int]
    scale: float


def read_state(path: Path, weights: str) -> dict[str, Any]:
    """The `training.pt` of a checkpoint; `weights` is the file that must lie beside it."""
    missing = [name for name in (weights, TRAINING) if not (path / name).is_file()]
    if missing:
        names = " and no ".join(missing)
        raise DataError(f"{path}: not a checkpoint of this engine: no {names}")
    state: dict[str, Any] = torch.load(path / TRAINING, map_location="cpu", weights_only=True)
    return state


def _device(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise EngineError("engine.device is cuda, but torch sees no GPU; set engine.device=auto")
    return torch.device(name)
