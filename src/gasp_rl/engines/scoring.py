"""Log-probabilities of completion tokens under a model, from packed forwards.

Shape suffixes: `_N` completion tokens of all pairs in order, `_V` vocabulary, `_W` model width.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from gasp_rl.engines.packing import Packed, Pair, micro_batches, pack
from gasp_rl.learning import losses

LOGITS_AT_ONCE = 1 << 25  # elements of one chunk of logits: 128 MiB in float32


def hidden_states(model: PreTrainedModel, packed: Packed) -> Tensor:
    """Last hidden state of each packed token, [T, W]."""
    out = model.base_model(
        input_ids=packed.ids_T[None],
        position_ids=packed.positions_T[None],
        use_cache=False,
        layout=packed,
    )
    hidden_TW: Tensor = out.last_hidden_state[0]
    return hidden_TW


def checkpoint_layers(model: PreTrainedModel) -> None:
    """From now on keep only each layer's input for the backward pass and compute the rest again.

    transformers' own switch needs training mode, which would bring dropout back.
    """
    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer):
            layer.forward = partial(_checkpointed, layer.forward)


def _checkpointed(forward: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    result: Tensor = checkpoint(forward, *args, use_reentrant=False, **kwargs)
    return result


def score(
    model: PreTrainedModel,
    packed: Packed,
    temperatures_N: Tensor | None = None,
    *,
    entropy_gradient: bool = False,
) -> tuple[Tensor, Tensor]:
    """Log-probability of each completion token and the entropy of the distribution that it came
    from, both [N] float32.

    Logits exist for completion tokens only, and for a large vocabulary only a chunk at a time: with
    gradients on, a chunk's logits are computed again in the backward pass.
    """
    hidden_NW = hidden_states(model, packed).index_select(0, packed.sources_N)
    head = model.get_output_embeddings()
    chunk = max(1, LOGITS_AT_ONCE // head.weight.shape[0])
    tempers = [None] * len(hidden_NW.split(chunk))
    if temperatures_N is not None:
        tempers = temperatures_N.split(chunk)
    chunks = list(zip(hidden_NW.split(chunk), packed.targets_N.split(chunk), tempers, strict=True))
    if len(chunks) == 1 or not torch.is_grad_enabled():
        parts = [_score_chunk(head, *c, entropy_gradient) for c in chunks]
    else:
        parts = [
            checkpoint(_score_chunk, head, *c, entropy_gradient, use_reentrant=False)
            for c in chunks
        ]
    logprobs, entropies = zip(*parts, strict=True)
    return torch.cat(logprobs), torch.cat(entropies)


def _score_chunk(
    head: torch.nn.Module,
    hidden_NW: Tensor,
    targets_N: Tensor,
    temperatures_N: Tensor | None,
    entropy_gradient: bool,
) -> tuple[Tensor, Tensor]:
    logits_NV = head(hidden_NW).float()
    if temperatures_N is not None:
        logits_NV = logits_NV / temperatures_N[:, None]
    logprobs_NV = logits_NV.log_softmax(-1)
    chosen_N = logprobs_NV.gather(1, targets_N[:, None])[:, 0]
    with torch.set_grad_enabled(entropy_gradient):
        return chosen_N, losses.entropy(logprobs_NV)


@torch.inference_mode()
def pair_logprobs(
    model: PreTrainedModel, pairs: Sequence[Pair], budget: int
) -> list[tuple[float, ...]]:
    """Log-probability of each completion token of each pair, in the order of the pairs."""
    results: list[tuple[float, ...]] = [()] * len(pairs)
    for indices, packed in packed_batches(model, pairs, budget):
        logprobs_N, _ = score(model, packed)
        lengths = [len(pairs[i][1]) for i in indices]
        for i, logprobs_T in zip(indices, logprobs_N.split(lengths), strict=True):
            results[i] = tuple(logprobs_T.tolist())
    return results


@torch.inference_mode()
def mean_hidden_states(
    model: PreTrainedModel, sequences: Sequence[tuple[int, ...]], budget: int
) -> Tensor:
    """Mean over tokens of each sequence's last hidden states, [sequences, W] float32 on the CPU."""
    means = torch.zeros(len(sequences), model.config.hidden_size)
    pairs = [(sequence, ()) for sequence in sequences]
    for indices, packed in packed_batches(model, pairs, budget):
        hidden_TW = hidden_states(model, packed).float()
        distinct = list(dict.fromkeys(sequences[i] for i in indices))
        parts = hidden_TW.split([len(sequence) for sequence in distinct])
        mean_of = {s: part.mean(0).cpu() for s, part in zip(distinct, parts, strict=True)}
        for i in indices:
            means[i] = mean_of[sequences[i]]
    return means


def packed_batches(
    model: PreTrainedModel, pairs: Sequence[Pair], budget: int
) -> Iterator[tuple[list[int], Packed]]:
    """Micro-batches of pairs with their layout: which pairs, and how they are packed."""
    for indices in micro_batches(pairs, budget):
        yield indices, pack([pairs[i] for i in indices], model.device, model.dtype)
