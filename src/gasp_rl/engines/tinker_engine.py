"""The `tinker` engine: a server that speaks the Tinker API samples and trains; this is its client.

Seven calls of the client: create_lora_training_client, sample, forward, forward_backward,
optim_step, save_state and load_state_with_optimizer; and save_weights_and_get_sampling_client to
publish. Losses are not the server's: it gives log-probabilities (`forward`), the loss and its
derivative by each of them are computed here, and the server takes that derivative back through the
model. Its `importance_sampling` at ratio 1 does that: the gradient of -A p/q by log p is -A. So
every loss and reduction is this package's own, to the token, for one more forward pass.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from gasp_rl.config import EngineConfig, LossConfig, OptimConfig, TinkerConfig
from gasp_rl.engines.objective import TokenBatch, objective
from gasp_rl.engines.pretrained import (
    FolderTokenizer,
    copy_tokenizer,
    read_config,
    require_rows,
    stop_ids,
)
from gasp_rl.engines.protocol import Caps, Completion, Row, SamplingParams, Tokenizer
from gasp_rl.engines.tinker_server import KINDS, Connection, rescale
from gasp_rl.errors import ConfigError, DataError, EngineError
from gasp_rl.learning import losses
from gasp_rl.rng import seed_for
from gasp_rl.types import Finish, Metrics, Tokens

STATE = "tinker.json"
SERVERS_ALPHA = 32
"""LoRA's alpha is the server's, not the client's: SkyRL and the hosted service have 32."""

LOCAL_ONLY = ("device", "sampler", "optimizer", "offload_optimizer", "lag")
"""Settings of `engine` that a server does not take. The other ones are what `gasp plan` assumes."""


class TinkerEngine:
    """Weights, optimiser and samples are the server's; tokenizer and stop tokens the folder's."""

    def __init__(
        self, folder: Path, base_model: str, engine: EngineConfig, config: TinkerConfig
    ) -> None:
        """base_model: the server's name of the model."""
        _require_settings(engine)
        if engine.threads is not None:
            torch.set_num_threads(engine.threads)
        settings, generation = read_config(folder)
        self._stop_ids = stop_ids(settings, generation)
        tokenizer = FolderTokenizer(folder, self._stop_ids[0])
        require_rows(settings.vocab_size, tokenizer, folder)
        self.tokenizer: Tokenizer = tokenizer
        self._folder = folder
        self._kind = KINDS[config.server]
        self._connection = Connection(config.url, config.patience_seconds)
        self._service = self._connection.open(config.server)
        self.caps = Caps(
            losses=frozenset({"ppo", "policy-gradient"}),
            reductions=frozenset({"token-mean", "sequence-mean"}),
            reference_logprobs=True,
            exact_resume=False,  # a server's batches are other ones each time
            entropy_bonus=False,
            tempered_rows=False,
            gradient_clipping=self._kind.clips,
        )
        self.version = 0
        self._base_model = base_model
        self._saves = count()
        self._pending: list[_Pushed] = []
        self._spoilt: float | None = None
        self._rank = engine.lora_rank
        self._training = self._create()
        self._untrained: Any = None
        self._sampler: Any = None
        self._refresh_sampler()

    def sample(
        self, prompts_P: Sequence[Tokens], n: int, params: SamplingParams
    ) -> list[list[Completion]]:
        """At other temperatures than 0 and 1 the log-probabilities may be the untempered ones (of
        SkyRL's JAX backend they are), and such rows are refused in training."""
        from tinker import types

        asked = [
            types.SamplingParams(
                max_tokens=params.max_tokens,
                temperature=params.temperature,
                top_p=params.top_p,
                seed=seed_for(params.seed, i, "tinker") % 2**30,  # SkyRL adds the sample's number
                stop=list(self._stop_ids),
            )
            for i in range(len(prompts_P))
        ]

        def ask() -> list[Any]:
            answers = [
                self._sampler.sample(_tokens(prompt), n, one)
                for prompt, one in zip(prompts_P, asked, strict=True)
            ]
            return [answer.result() for answer in answers]

        replies = self._connection.call("sampling", ask)
        return [
            [self._completion(sequence, params) for sequence in reply.sequences]
            for reply in replies
        ]

    def logprobs(
        self, rows: Sequence[tuple[Tokens, Tokens]], of: Literal["policy", "reference"] = "policy"
    ) -> list[tuple[float, ...]]:
        if not rows:
            return []
        return self._scored(self._training if of == "policy" else self._reference(), rows)

    def forward_backward(self, rows: Sequence[Row], loss: LossConfig) -> Metrics:
        """The derivative of the loss by each token's log-probability; it goes to the server with
        `optim_step`. `policy/entropy` is estimated from the rows' own tokens."""
        if not rows:
            raise EngineError("forward_backward: no rows; a step needs at least one")
        tempered = {row.temperature for row in rows} - {1.0}
        if tempered:
            raise EngineError(
                f"rows sampled at temperature {min(tempered)}: a Tinker server trains at "
                "temperature 1; set the sampling temperatures to 1"
            )
        pairs = [(row.prompt, row.tokens_T) for row in rows]
        lengths = torch.tensor([len(row.tokens_T) for row in rows])
        weights = losses.token_weights(lengths, loss.reduction).split(lengths.tolist())
        batch = TokenBatch(rows, weights, torch.device("cpu"))
        logprobs_N = _flat(self._scored(self._training, pairs)).requires_grad_()
        reference_N = _flat(self._scored(self._reference(), pairs)) if loss.kl_coef else None
        total, sums = objective(logprobs_N, -logprobs_N.detach(), batch, loss, reference_N)
        (gradient_N,) = torch.autograd.grad(total, logprobs_N)
        if gradient_N.isfinite().all():
            per_row = (x.detach().split(lengths.tolist()) for x in (logprobs_N, gradient_N))
            self._pending += map(_Pushed, rows, *per_row)
        else:
            self._spoilt = float(gradient_N.sum())
        tokens = float(lengths.sum())
        metrics = {name: value / tokens for name, value in sums.items() if name != "loss"}
        return metrics | {"loss": sums["loss"], "tokens": tokens}

    def optim_step(self, optim: OptimConfig) -> Metrics:
        pending, self._pending = self._pending, []
        spoilt, self._spoilt = self._spoilt, None
        if spoilt is not None:
            raise EngineError(
                f"gradient norm is {spoilt}: the step was dropped and the weights are untouched; "
                "lower optim.lr or look for extreme advantages"
            )
        if not pending:
            raise EngineError("optim_step: no gradient; call forward_backward before it")
        from tinker import types

        data = self._data(pending)
        adam = types.AdamParams(
            learning_rate=optim.lr,
            beta1=optim.betas[0],
            beta2=optim.betas[1],
            eps=optim.eps,
            weight_decay=optim.weight_decay,
            grad_clip_norm=optim.max_grad_norm,
        )

        def ask() -> Any:
            gradient = self._training.forward_backward(data, "importance_sampling")
            step = self._training.optim_step(adam)
            gradient.result()
            return step.result()

        metrics = self._connection.call("training", ask).metrics or {}
        norms = [value for name, value in metrics.items() if name.endswith("grad_norm")]
        if norms and not math.isfinite(norms[0]):
            raise EngineError(
                f"{self._connection.url}: the server stepped on a gradient of norm {norms[0]}; its "
                "weights are spoilt: resume the run from its last checkpoint"
            )
        return {"policy/grad_norm": norms[0]} if norms else {}

    def publish(self) -> int:
        self._refresh_sampler()
        self.version += 1
        return self.version

    def save(self, path: Path) -> None:
        """The weights stay on the server; the folder holds their address there."""
        name = f"version-{self.version}-{next(self._saves)}"
        saved = self._connection.call("saving", lambda: self._training.save_state(name).result())
        path.mkdir(parents=True, exist_ok=True)
        copy_tokenizer(self._folder, path)
        state = {"version": self.version, "base_model": self._base_model, "path": saved.path}
        (path / STATE).write_text(json.dumps(state), encoding="utf-8")

    def load(self, path: Path) -> None:
        if not (path / STATE).is_file():
            raise DataError(f"{path}: not a checkpoint of this engine: no {STATE}")
        state = json.loads((path / STATE).read_text(encoding="utf-8"))
        if state["base_model"] != self._base_model:
            raise DataError(
                f"{path}: trained from {state['base_model']}, but this run's model is "
                f"{self._base_model}"
            )
        address = state["path"]
        self._connection.call(
            f"loading {address}",
            lambda: self._training.load_state_with_optimizer(address).result(),
        )
        self._pending, self._spoilt = [], None
        self._refresh_sampler()
        self.version = state["version"]

    def close(self) -> None:
        """The server drops the weights when the session's heartbeat stops."""

    def _refresh_sampler(self) -> None:
        self._sampler = self._connection.call(
            "publishing weights", self._training.save_weights_and_get_sampling_client
        )

    def _scored(
        self, model: Any, pairs: Sequence[tuple[Tokens, Tokens]]
    ) -> list[tuple[float, ...]]:
        """Log-probabilities of completion tokens under a training client's weights."""
        from tinker import types

        data = [
            types.Datum(
                model_input=_tokens(prompt + tokens_T[:-1]),
                loss_fn_inputs={
                    "target_tokens": [*prompt[1:], *tokens_T],
                    "weights": [0.0] * (len(prompt) - 1) + [1.0] * len(tokens_T),
                },
            )
            for prompt, tokens_T in pairs
        ]
        output = self._connection.call(
            "scoring", lambda: model.forward(data, "cross_entropy").result()
        )
        return [
            tuple(given["logprobs"].data[-len(tokens_T) :])
            for given, (_, tokens_T) in zip(output.loss_fn_outputs, pairs, strict=True)
        ]

    def _reference(self) -> Any:
        """A second adapter, never trained: as it begins, it changes nothing."""
        if self._untrained is None:
            self._untrained = self._create()
        return self._untrained

    def _create(self) -> Any:
        service, name, rank = self._service, self._base_model, self._rank
        return self._connection.call(
            f"loading {name}",
            lambda: service.create_lora_training_client(base_model=name, rank=rank, seed=0),
        )

    def _data(self, pending: Sequence["_Pushed"]) -> list[Any]:
        """Rows as the server trains on them: its own log-probabilities, so that the ratio is 1, and
        in place of advantages what the loss asks for."""
        from tinker import types

        data = []
        for pushed in pending:
            row = pushed.row
            before = [0.0] * (len(row.prompt) - 1)
            positions = len(before) + len(row.tokens_T)
            scale = rescale(self._kind, len(pending), positions)
            data.append(
                types.Datum(
                    model_input=_tokens(row.prompt + row.tokens_T[:-1]),
                    loss_fn_inputs={
                        "target_tokens": [*row.prompt[1:], *row.tokens_T],
                        "logprobs": [*before, *pushed.logprobs_T.tolist()],
                        "advantages": [*before, *(-scale * pushed.gradient_T).tolist()],
                    },
                )
            )
        return data

    def _completion(self, sequence: Any, params: SamplingParams) -> Completion:
        tokens_T = tuple(sequence.tokens)
        logprobs_T = tuple(sequence.logprobs or ())
        if len(logprobs_T) != len(tokens_T):
            raise EngineError(
                f"{self._connection.url}: {len(tokens_T)} tokens came with {len(logprobs_T)} "
                "log-probabilities; this server cannot be trained with"
            )
        return Completion(
            tokens_T=tokens_T,
            logprobs_T=logprobs_T if params.temperature else (0.0,) * len(tokens_T),
            finish=Finish.STOP if sequence.stop_reason == "stop" else Finish.LENGTH,
            version=self.version,
        )


@dataclass(frozen=True, slots=True)
class _Pushed:
    """A row with the trainer's log-probabilities and the loss's derivative by each of them."""

    row: Row
    logprobs_T: Tensor
    gradient_T: Tensor


def _require_settings(engine: EngineConfig) -> None:
    """Refuse what only this process's own engine could do."""
    defaults = EngineConfig()
    for name in LOCAL_ONLY:
        if getattr(engine, name) != getattr(defaults, name):
            raise ConfigError(
                f"engine.{name}={getattr(engine, name)}: with engine.name=tinker this is the "
                "server's own setting; leave it out here"
            )
    if not engine.lora_rank:
        raise ConfigError("engine.lora_rank=0: a Tinker server trains adapters; set it, say to 32")
    if engine.lora_alpha != SERVERS_ALPHA:
        raise ConfigError(
            f"engine.lora_alpha={engine.lora_alpha}: Tinker servers have {SERVERS_ALPHA} and take "
            "no other"
        )


def _tokens(tokens: Sequence[int]) -> Any:
    from tinker import types

    return types.ModelInput.from_ints(list(tokens))


def _flat(logprobs: Sequence[Sequence[float]]) -> Tensor:
    return torch.tensor([x for row in logprobs for x in row], dtype=torch.float32)
