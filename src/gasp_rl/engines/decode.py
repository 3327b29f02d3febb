"""The batched decode loop: each distinct prompt is computed once and shared by its samples,
finished rows leave at once, waiting rows take their place.

Shape suffixes: `_B` rows being decoded, `_P` distinct prompts, `_V` vocabulary, `_T` tokens.
"""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from gasp_rl.engines.cache import DecodeCache
from gasp_rl.engines.protocol import Completion, SamplingParams
from gasp_rl.errors import EngineError
from gasp_rl.types import Finish, Tokens

PREFILL_TOKENS = 16384  # padded tokens in one prompt forward: bounds its memory
UNIFORMS_BLOCK = 32  # draws made at once for one row


@torch.inference_mode()
def decode(
    model: PreTrainedModel,
    prompts: Sequence[Tokens],
    n: int,
    params: SamplingParams,
    *,
    stop_ids: Collection[int],
    capacity: int,
    version: int = 0,
    first: int = 0,
) -> list[list[Completion]]:
    """`n` completions of each prompt, at most `capacity` rows decoded at a time.

    Row (prompt i, sample j) draws from its own Philox stream, whatever else is in the batch. (Its
    logits may still differ in the last bits with the batch's shape, as matrix products do.)
    first: number of the first prompt, where these are a part of a longer list.
    """
    if not all(prompts):
        raise EngineError("sample: an empty prompt has nothing to continue; begin it with a token")
    log = _Log(len(prompts) * n)
    batch = _Batch(model, prompts, n, params, capacity, first)
    stops = torch.tensor(sorted(stop_ids), device=model.device)
    while batch.refill():
        tokens_B, logprobs_B = draw(batch.logits_BV, batch.uniforms(), params)
        stopped_B = torch.isin(tokens_B, stops)
        log.add(batch.jobs_B, tokens_B, logprobs_B, stopped_B)
        batch.advance(tokens_B, alive_B=~stopped_B & (batch.lengths_B + 1 < params.max_tokens))
    rows = log.completions(version)
    return [rows[i * n : (i + 1) * n] for i in range(len(prompts))]


def draw(logits_BV: Tensor, uniforms_B: Tensor, params: SamplingParams) -> tuple[Tensor, Tensor]:
    """One token for each row by inverting the cumulative distribution, and its log-probability.

    The distribution is softmax(logits / temperature), cut to the smallest set of most likely tokens
    that holds `top_p` of it (Holtzman et al., arXiv 1904.09751). At temperature 0 it is the most
    likely token with log-probability 0.

    Example: probabilities (.2, .5, .3) and uniform .6 give token 1, since .2 <= .6 < .7.
    """
    assert logits_BV.shape[:1] == uniforms_B.shape
    if params.temperature == 0:
        return logits_BV.argmax(-1), uniforms_B.new_zeros(len(logits_BV)).float()
    logprobs_BV = (logits_BV.float() / params.temperature).log_softmax(-1)
    if params.top_p < 1:
        logprobs_BV = _nucleus(logprobs_BV, params.top_p)
    cumulative_BV = logprobs_BV.double().exp().cumsum(-1)
    targets_B1 = (uniforms_B * cumulative_BV[:, -1])[:, None]
    tokens_B1 = torch.searchsorted(cumulative_BV, targets_B1, right=True)
    last_B1 = torch.searchsorted(cumulative_BV, cumulative_BV[:, -1:].contiguous())
    tokens_B1 = tokens_B1.minimum(last_B1)  # the product above may round up to the total
    return tokens_B1[:, 0], logprobs_BV.gather(1, tokens_B1)[:, 0]


def _nucleus(logprobs_BV: Tensor, top_p: float) -> Tensor:
    sorted_BV, order_BV = logprobs_BV.sort(-1, descending=True)
    mass_before_BV = sorted_BV.exp().cumsum(-1) - sorted_BV.exp()
    cut_BV = torch.zeros_like(logprobs_BV, dtype=torch.bool)
    cut_BV.scatter_(1, order_BV, mass_before_BV >= top_p)
    return logprobs_BV.masked_fill(cut_BV, -torch.inf).log_softmax(-1)


def uniforms(seed: int, prompt: int, sample: int, block: int) -> np.ndarray:
    """Block `block` of the stream of uniforms in [0, 1) of one row: a function of its arguments."""
    bits = np.random.Philox(key=seed, counter=[0, block, sample, prompt])
    return np.random.Generator(bits).random(UNIFORMS_BLOCK)


class _Batch:
    """The rows being decoded, and those that wait. A job is the number of a row: prompt * n + j."""

    def __init__(
        self,
        model: PreTrainedModel,
        prompts: Sequence[Tokens],
        n: int,
        params: SamplingParams,
        capacity: int,
        first: int,
    ) -> None:
        self._model, self._prompts, self._n, self._seed = model, prompts, n, params.seed
        self._first = first
        self._capacity = min(capacity, len(prompts) * n)
        self._next = 0  # first job that still waits
        self._prefilled: dict[Tokens, tuple[Tensor, Tensor]] = {}
        self._cache: DecodeCache | None = None
        vocabulary = model.get_output_embeddings().weight.shape[0]
        self.logits_BV = torch.empty(0, vocabulary, device=model.device)
        self.jobs_B = np.zeros(0, dtype=np.int64)
        self.lengths_B = torch.zeros(0, dtype=torch.long, device=model.device)
        self._positions_B = torch.zeros(0, dtype=torch.long, device=model.device)
        self._uniforms_B = np.zeros((0, UNIFORMS_BLOCK))

    def refill(self) -> bool:
        """Let waiting rows join once a quarter of the places is free; false when all is done."""
        live, waiting = len(self.jobs_B), len(self._prompts) * self._n - self._next
        if waiting and live <= self._capacity * 3 // 4:
            self._join(np.arange(self._next, self._next + min(waiting, self._capacity - live)))
        return len(self.jobs_B) > 0

    def uniforms(self) -> Tensor:
        """This step's uniforms, one for each row."""
        lengths_B = self.lengths_B.cpu().numpy()
        for row in np.flatnonzero(lengths_B % UNIFORMS_BLOCK == 0):
            prompt, sample = divmod(int(self.jobs_B[row]), self._n)
            block = int(lengths_B[row]) // UNIFORMS_BLOCK
            self._uniforms_B[row] = uniforms(self._seed, self._first + prompt, sample, block)
        now_B = self._uniforms_B[np.arange(len(lengths_B)), lengths_B % UNIFORMS_BLOCK]
        return torch.from_numpy(now_B).to(self._model.device)

    def advance(self, tokens_B: Tensor, alive_B: Tensor) -> None:
        """Drop the rows that ended and run the model on the new tokens of the others."""
        assert self._cache is not None  # made when the first rows joined
        order_B = self._cache.keep(alive_B)
        numpy_order_B = order_B.cpu().numpy()
        self.jobs_B = self.jobs_B[numpy_order_B]
        self._uniforms_B = self._uniforms_B[numpy_order_B]
        self.lengths_B = self.lengths_B[order_B] + 1
        self._positions_B = self._positions_B[order_B] + 1
        if len(order_B) == 0:
            self.logits_BV = self.logits_BV[:0]
            return
        hidden_B1W = self._model.base_model(
            input_ids=tokens_B[order_B, None],
            attention_mask=self._cache.open_column(),
            position_ids=self._positions_B[:, None],
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state
        self._cache.close_column()
        self.logits_BV = self._model.get_output_embeddings()(hidden_B1W[:, 0])

    def _join(self, jobs: np.ndarray) -> None:
        """Place rows after the live ones; rows of one prompt follow each other."""
        self._next += len(jobs)
        which, copies = np.unique(jobs // self._n, return_counts=True)
        prompts = [self._prompts[i] for i in which]
        missing = sorted({p for p in prompts if p not in self._prefilled}, key=len)
        self._prefilled = {p: self._prefilled[p] for p in prompts if p in self._prefilled}
        self._prefilled |= prefill(self._model, missing)
        kvs, logits = zip(*(self._prefilled[p] for p in prompts), strict=True)
        if self._cache is None:
            self._cache = DecodeCache(kvs[0])
        self._cache.join(list(zip(kvs, copies.tolist(), strict=True)))
        copies_P = self.lengths_B.new_tensor(copies)
        logits_BV = torch.stack(logits).repeat_interleave(copies_P, 0)
        last_P = self.lengths_B.new_tensor([len(p) - 1 for p in prompts])
        self.jobs_B = np.concatenate([self.jobs_B, jobs])
        self.logits_BV = torch.cat([self.logits_BV, logits_BV])
        self.lengths_B = torch.cat([self.lengths_B, self.lengths_B.new_zeros(len(jobs))])
        self._positions_B = torch.cat([self._positions_B, last_P.repeat_interleave(copies_P)])
        fresh = np.zeros((len(jobs), UNIFORMS_BLOCK))
        self._uniforms_B = np.concatenate([self._uniforms_B, fresh])


def prefill(
    model: PreTrainedModel, prompts_P: Sequence[Tokens]
) -> dict[Tokens, tuple[Tensor, Tensor]]:
    """Keys and values of each prompt, [layers, 2, kv_heads, length, head_dim], and the logits [V]
    after its last token. Sorted by length, so that padding stays small."""
    done: dict[Tokens, tuple[Tensor, Tensor]] = {}
    pending = list(prompts_P)
    while pending:
        # The longest comes last: what fits is bounded by the longest prompt of the chunk.
        size = 1
        while size < len(pending) and (size + 1) * len(pending[size]) <= PREFILL_TOKENS:
            size += 1
        chunk, pending = pending[:size], pending[size:]
        # Padded on the right: a causal model never looks there, so no mask is needed.
        ids = torch.zeros(size, len(chunk[-1]), dtype=torch.long)
        for i, prompt in enumerate(chunk):
            ids[i, : len(prompt)] = torch.tensor(prompt)
        out = model.base_model(
            input_ids=ids.to(model.device),
            past_key_values=DynamicCache(config=model.config),
            use_cache=True,
        )
        layers = out.past_key_values.layers
        kv = torch.stack([torch.stack((layer.keys, layer.values)) for layer in layers])
        last = torch.tensor([len(p) - 1 for p in chunk], device=model.device)
        hidden_PW = out.last_hidden_state[torch.arange(size, device=model.device), last]
        logits_PV = model.get_output_embeddings()(hidden_PW)
        for i, prompt in enumerate(chunk):
            done[prompt] = (kv[:, :, i, :, : len(prompt)], logits_PV[i])
    return done


class _Log:
    """What was drawn, step by step; becomes completions at the end without a loop over tokens."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._steps: list[tuple[np.ndarray, Tensor, Tensor, Tensor]] = []

    def add(self, jobs_B: np.ndarray, tokens_B: Tensor, logprobs_B: Tensor, stop_B: Tensor) -> None:
        self._steps.append((jobs_B, tokens_B, logprobs_B, stop_B))

    def completions(self, version: int) -> list[Completion]:
        if not self._steps:
            return []
        jobs = np.concatenate([step[0] for step in self._steps])
        tokens = torch.cat([step[1] for step in self._steps]).cpu().numpy()
        logprobs = torch.cat([step[2] for step in self._steps]).cpu().numpy()
        stopped = torch.cat([step[3] for step in self._steps]).cpu().numpy()
        order = np.argsort(jobs, kind="stable")  # stable: a row's tokens stay in their order
        ends = np.cumsum(np.bincount(jobs, minlength=self._rows))
        tokens, logprobs, stopped = tokens[order], logprobs[order], stopped[order]
        return [
            Completion(
                tokens_T=tuple(tokens[begin:end].tolist()),
                logprobs_T=tuple(logprobs[begin:end].tolist()),
                finish=Finish.STOP if stopped[end - 1] else Finish.LENGTH,
                version=version,
            )
            for begin, end in zip([0, *ends[:-1]], ends, strict=True)
        ]
