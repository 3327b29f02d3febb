"""The `local` engine: one policy in this process, on a CPU or one GPU, full weights."""

import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from gasp_rl.config import EngineConfig, LossConfig, OptimConfig
from gasp_rl.engines.decode import decode
from gasp_rl.engines.packing import Packed
from gasp_rl.engines.pretrained import FolderTokenizer, load_policy, stop_ids
from gasp_rl.engines.protocol import Caps, Completion, Row, SamplingParams, Tokenizer
from gasp_rl.engines.scoring import mean_hidden_states, packed_batches, pair_logprobs, score
from gasp_rl.errors import DataError, EngineError
from gasp_rl.learning import losses
from gasp_rl.types import Metrics, Tokens

WEIGHTS, TRAINING = "model.safetensors", "training.pt"


class LocalEngine:
    """Samples from and trains the model of a folder.

    Training updates float32 weights. In bfloat16 these are copies of the model's: small steps added
    to bfloat16 numbers would round away.
    """

    caps = Caps(
        losses=frozenset({"ppo", "policy-gradient"}),
        reductions=frozenset({"token-mean", "sequence-mean"}),
        reference_logprobs=True,
        exact_resume=True,
    )

    def __init__(self, folder: Path, config: EngineConfig) -> None:
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        self.version = 0
        self._folder = folder
        self._config = config
        self._device = _device(config.device)
        self._dtype = getattr(torch, config.dtype)
        self._model = load_policy(folder, self._device, self._dtype)
        self._stop_ids = stop_ids(self._model)
        self.tokenizer: Tokenizer = FolderTokenizer(folder, self._stop_ids[0])
        self._reference: PreTrainedModel | None = None
        self._weights: list[Tensor] = list(self._model.parameters())
        self._masters = self._weights
        if self._dtype != torch.float32:
            self._masters = [weight.detach().float() for weight in self._weights]
        self._optimizer = torch.optim.AdamW(self._masters, fused=True)

    def sample(
        self, prompts_P: Sequence[Tokens], n: int, params: SamplingParams
    ) -> list[list[Completion]]:
        return decode(
            self._model,
            prompts_P,
            n,
            params,
            stop_ids=self._stop_ids,
            capacity=self._config.sample_rows,
            version=self.version,
        )

    def logprobs(
        self, rows: Sequence[tuple[Tokens, Tokens]], of: Literal["policy", "reference"] = "policy"
    ) -> list[tuple[float, ...]]:
        model = self._model if of == "policy" else self._frozen_reference()
        return pair_logprobs(model, rows, self._config.train_tokens)

    def hidden_means(
        self, texts: Sequence[Tokens], of: Literal["policy", "reference"] = "policy"
    ) -> np.ndarray:
        """Mean of the last hidden states over the tokens of each text, [texts, width] float32."""
        model = self._model if of == "policy" else self._frozen_reference()
        return mean_hidden_states(model, texts, self._config.train_tokens).numpy()

    def forward_backward(self, rows: Sequence[Row], loss: LossConfig) -> Metrics:
        """Gradients add up until `optim_step`. Metrics are means over the batch's tokens."""
        if not rows:
            raise EngineError("forward_backward: no rows; a step needs at least one")
        pairs = [(row.prompt, row.tokens_T) for row in rows]
        lengths = torch.tensor([len(row.tokens_T) for row in rows])
        weights = losses.token_weights(lengths, loss.reduction).split(lengths.tolist())
        sums: defaultdict[str, float] = defaultdict(float)
        for indices, packed in packed_batches(self._model, pairs, self._config.train_tokens):
            chosen = [rows[i] for i in indices]
            batch = _TokenBatch(chosen, [weights[i] for i in indices], self._device)
            for name, value in self._backward(packed, batch, loss).items():
                sums[name] += value
        tokens = float(lengths.sum())
        metrics = {name: value / tokens for name, value in sums.items() if name != "loss"}
        return metrics | {"loss": sums["loss"], "tokens": tokens}

    def _backward(self, packed: Packed, batch: "_TokenBatch", loss: LossConfig) -> Metrics:
        """One micro-batch: its share of the loss, and sums over its tokens."""
        logprobs_N, entropy_N = score(
            self._model, packed, batch.temperatures_N, entropy_gradient=loss.entropy_coef > 0
        )
        surrogate = losses.policy_loss(logprobs_N, batch.sampler_N, batch.advantages_N, loss)
        loss_N = surrogate.loss_N - loss.entropy_coef * entropy_N
        sums = {
            "policy/entropy": entropy_N,
            "policy/logprob_gap": (logprobs_N - batch.sampler_N).abs(),
            "policy/clip_fraction": surrogate.clipped_N,
        }
        if loss.kl_coef:
            with torch.no_grad():
                reference_N, _ = score(self._frozen_reference(), packed, batch.temperatures_N)
            kl_N = losses.kl_k3(logprobs_N, reference_N)
            loss_N = loss_N + loss.kl_coef * kl_N
            sums["policy/kl"] = kl_N
        total = (batch.weights_N * loss_N).sum()
        total.backward()
        return {name: value.sum().item() for name, value in (sums | {"loss": total}).items()}

    def optim_step(self, optim: OptimConfig) -> Metrics:
        gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        if not gradients:
            raise EngineError("optim_step: no gradient; call forward_backward before it")
        norm = torch.nn.utils.get_total_norm(gradients)
        if not torch.isfinite(norm):
            self._model.zero_grad()
            raise EngineError(
                f"gradient norm is {norm.item()}: the step was dropped and the weights are "
                "untouched; lower optim.lr or look for extreme advantages"
            )
        torch.nn.utils.clip_grads_with_norm_(self._weights, optim.max_grad_norm, norm)
        for master, weight in zip(self._masters, self._weights, strict=True):
            if master is not weight and weight.grad is not None:
                master.grad = weight.grad.float()
        for group in self._optimizer.param_groups:
            group |= {"lr": optim.lr, "betas": optim.betas, "eps": optim.eps}
            group["weight_decay"] = optim.weight_decay
        self._optimizer.step()
        self._copy_masters()
        self._optimizer.zero_grad()
        self._model.zero_grad()
        return {"policy/grad_norm": norm.item()}

    def publish(self) -> int:
        """Sampler and trainer share their weights here: only the version changes."""
        self.version += 1
        return self.version

    def save(self, path: Path) -> None:
        """A model folder that transformers can open, with `training.pt` beside the weights."""
        path.mkdir(parents=True, exist_ok=True)
        self._model.save_pretrained(path)
        if path.resolve() != self._folder.resolve():
            shutil.copyfile(self._folder / "tokenizer.json", path / "tokenizer.json")
        masters = [] if self._masters is self._weights else self._masters
        state = {
            "version": self.version,
            "optimizer": self._optimizer.state_dict(),
            "masters": masters,
        }
        torch.save(state, path / TRAINING)

    def load(self, path: Path) -> None:
        """Continue from what `save` wrote. The reference stays the model that this engine began
        with."""
        missing = [name for name in (WEIGHTS, TRAINING) if not (path / name).is_file()]
        if missing:
            names = " and no ".join(missing)
            raise DataError(f"{path}: not a checkpoint of this engine: no {names}")
        state = torch.load(path / TRAINING, map_location=self._device, weights_only=True)
        loaded = load_policy(path, self._device, self._dtype)
        try:
            self._model.load_state_dict(loaded.state_dict())
        except RuntimeError as error:
            raise DataError(f"{path}: weights of another model: {error}") from error
        with torch.no_grad():
            for master, saved in zip(self._masters, state["masters"], strict=False):
                master.copy_(saved)
        self._optimizer.load_state_dict(state["optimizer"])
        self.version = state["version"]

    def close(self) -> None:
        """Nothing outlives the object: memory is freed with it."""

    @torch.no_grad()
    def _copy_masters(self) -> None:
        for master, weight in zip(self._masters, self._weights, strict=True):
            if master is not weight:
                weight.copy_(master)

    def _frozen_reference(self) -> PreTrainedModel:
        """The initial weights, read again when they are first asked for."""
        if self._reference is None:
            self._reference = load_policy(self._folder, self._device, self._dtype)
            self._reference.requires_grad_(False)
        return self._reference


class _TokenBatch:
    """Per-token numbers of a micro-batch's rows, one row after the other."""

    def __init__(
        self, rows: Sequence[Row], weights: Sequence[Tensor], device: torch.device
    ) -> None:
        def tensor(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device)

        self.sampler_N = tensor([x for row in rows for x in row.logprobs_T])
        self.advantages_N = tensor([x for row in rows for x in row.advantages_T])
        self.weights_N = torch.cat(list(weights)).to(device)
        self.temperatures_N: Tensor | None = None
        if any(row.temperature != 1 for row in rows):
            lengths = torch.tensor([len(row.tokens_T) for row in rows], device=device)
            per_row = tensor([row.temperature for row in rows])
            self.temperatures_N = per_row.repeat_interleave(lengths)


def _device(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise EngineError("engine.device is cuda, but torch sees no GPU; set engine.device=auto")
    return torch.device(name)
