"""Packs (prompt, completion) pairs without padding and computes a shared prompt once.

All tokens lie in one row of length T: first a segment for each distinct prompt, then one for each
completion. A completion's queries see the keys of its prompt and then its own; its position ids
continue from the prompt. Linear layers, most of the cost, so run on real tokens only. Attention
alone needs padding, and gets it in buckets of segments of similar length.

The last completion token is no input: nothing is predicted from it.

Shape suffixes: `_T` packed tokens, `_N` completion tokens of all pairs in order, `_R` segments of a
bucket, `_L` queries, `_K` keys.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gasp_rl.errors import EngineError
from gasp_rl.types import Tokens

Pair = tuple[Tokens, Tokens]

BUCKET_SHRINK = 0.75  # a segment this much shorter than its bucket's longest opens a new bucket
BUCKET_MIN = 8  # ...but a bucket has at least so many segments


@dataclass(frozen=True, slots=True)
class Bucket:
    """Segments whose attention is computed together, padded to the longest.

    queries: [R * L] packed token of each query; keys: [R * K]; mask: [R, 1, L, K], additive.
    """

    queries: Tensor
    keys: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """One packed forward.

    places_T:  where each packed token's attention output lies among the buckets' outputs.
    sources_N: packed token from which each completion token is predicted.
    targets_N: the completion tokens.
    """

    ids_T: Tensor
    positions_T: Tensor
    buckets: tuple[Bucket, ...]
    places_T: Tensor
    sources_N: Tensor
    targets_N: Tensor


def micro_batches(pairs: Sequence[Pair], budget: int) -> Iterator[list[int]]:
    """Indices of pairs in batches of at most `budget` packed tokens; a longer pair goes alone.

    Pairs of one prompt stay together as far as the budget lets them.
    """
    first_seen: dict[Tokens, int] = {}
    for prompt, _ in pairs:
        first_seen.setdefault(prompt, len(first_seen))
    batch: list[int] = []
    size = 0
    last_prompt = -1
    for i in sorted(range(len(pairs)), key=lambda i: first_seen[pairs[i][0]]):
        prompt, completion = pairs[i]
        cost = len(completion) - 1 + (len(prompt) if first_seen[prompt] != last_prompt else 0)
        if batch and size + cost > budget:
            yield batch
            batch, size, cost = [], 0, len(prompt) + len(completion) - 1
        batch.append(i)
        size += cost
        last_prompt = first_seen[prompt]
    if batch:
        yield batch


def shortest(pairs: Sequence[Pair]) -> int:
    """Packed tokens of the shortest pair: with a budget of these, each pair goes alone."""
    return min((len(prompt) + len(completion) for prompt, completion in pairs), default=1)


def pack(pairs: Sequence[Pair], device: torch.device, dtype: torch.dtype) -> Packed:
    """Lay out pairs for one forward. A completion may be empty (then nothing is predicted)."""
    prompts = list(dict.fromkeys(prompt for prompt, _ in pairs))
    if not all(prompts):
        raise EngineError("an empty prompt: nothing predicts its completion's first token")
    lengths = [len(p) for p in prompts] + [max(len(c) - 1, 0) for _, c in pairs]
    starts = np.cumsum([0, *lengths])
    prompt_of = {prompt: i for i, prompt in enumerate(prompts)}
    owners = np.array([prompt_of[prompt] for prompt, _ in pairs], dtype=np.int64)
    prefix_starts = np.concatenate([starts[: len(prompts)], starts[owners]])
    prefixes = np.concatenate([np.zeros(len(prompts), np.int64), np.array(lengths)[owners]])

    ids = np.fromiter((t for p in prompts for t in p), np.int64, starts[len(prompts)])
    inputs = np.fromiter((t for _, c in pairs for t in c[:-1]), np.int64)
    targets = np.fromiter((t for _, c in pairs for t in c), np.int64)
    positions = _ranges(np.array(lengths)) + np.repeat(prefixes, lengths)

    # A completion's first token is predicted from its prompt's last one, the next from the one
    # before it.
    counts = np.array([len(c) for _, c in pairs], dtype=np.int64)
    inner = _ranges(counts)
    sources = np.where(
        inner == 0,
        np.repeat(starts[owners] + np.array(lengths)[owners] - 1, counts),
        np.repeat(starts[len(prompts) : -1], counts) + inner - 1,
    )

    layout = _Segments(np.array(lengths), starts[:-1], prefixes, prefix_starts)
    buckets, places = _buckets(layout, device, dtype)
    return Packed(
        ids_T=torch.from_numpy(np.concatenate([ids, inputs])).to(device),
        positions_T=torch.from_numpy(positions).to(device),
        buckets=buckets,
        places_T=torch.from_numpy(places).to(device),
        sources_N=torch.from_numpy(sources).to(device),
        targets_N=torch.from_numpy(targets).to(device),
    )


@dataclass(frozen=True, slots=True)
class _Segments:
    """Of each segment: its length, its first token, and the same of what it sees before itself."""

    lengths: np.ndarray
    starts: np.ndarray
    prefixes: np.ndarray
    prefix_starts: np.ndarray


def _buckets(
    segments: _Segments, device: torch.device, dtype: torch.dtype
) -> tuple[tuple[Bucket, ...], np.ndarray]:
    places = np.zeros(segments.lengths.sum(), dtype=np.int64)
    buckets: list[Bucket] = []
    offset = 0
    for members in _similar(segments.lengths, segments.prefixes):
        lengths, starts = segments.lengths[members], segments.starts[members]
        prefixes, prefix_starts = segments.prefixes[members], segments.prefix_starts[members]
        longest, keys_longest = lengths.max(), (lengths + prefixes).max()
        query_L, key_K = np.arange(longest), np.arange(keys_longest)
        inside_RL = query_L < lengths[:, None]
        queries_RL = starts[:, None] + np.minimum(query_L, lengths[:, None] - 1)
        own_RK = np.clip(key_K - prefixes[:, None], 0, lengths[:, None] - 1)
        keys_RK = np.where(
            key_K < prefixes[:, None], prefix_starts[:, None] + key_K, starts[:, None] + own_RK
        )
        # Padding keys lie after the real ones, so the causal rule hides them from real queries.
        seen_RLK = key_K <= (prefixes[:, None] + query_L)[:, :, None]
        places[queries_RL[inside_RL]] = offset + np.flatnonzero(inside_RL)
        offset += queries_RL.size
        seen = torch.from_numpy(seen_RLK).to(device)
        mask = torch.zeros(seen.shape, device=device, dtype=dtype).masked_fill_(~seen, -torch.inf)
        buckets.append(
            Bucket(
                queries=torch.from_numpy(queries_RL.ravel()).to(device),
                keys=torch.from_numpy(keys_RK.ravel()).to(device),
                mask=mask.unsqueeze(1),
            )
        )
    return tuple(buckets), places


def _similar(lengths: np.ndarray, prefixes: np.ndarray) -> Iterator[np.ndarray]:
    """Indices of non-empty segments, in buckets of similar length, longest first."""
    order = [i for i in np.lexsort((prefixes, lengths))[::-1] if lengths[i]]
    begin = 0
    for end in range(1, len(order) + 1):
        last = end == len(order)
        short = not last and lengths[order[end]] < BUCKET_SHRINK * lengths[order[begin]]
        if last or (short and end - begin >= BUCKET_MIN):
            yield np.array(order[begin:end])
            begin = end


def _ranges(lengths: np.ndarray) -> np.ndarray:
    """0, 1, ..., length - 1 for each length, one after the other: (2, 3) gives 0 1 0 1 2."""
    begins = np.cumsum(lengths) - lengths
    ranges: np.ndarray = np.arange(lengths.sum()) - np.repeat(begins, lengths)
    return ranges
