"""Supervised training of the miniature's base model on its corpus.

The architecture is transformers' own SmolLM3 with rotary positions switched off in every layer: a
causal transformer without positional encoding, whose skill fades with depth as a slope; with
rotary positions it falls off a cliff after the depths it was trained on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import SmolLM3Config, SmolLM3ForCausalLM

from gasp_rl.miniature.corpus import Corpus
from gasp_rl.miniature.vocabulary import EOS, PAD

IGNORED = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStart:
    """Settings of the supervised training; lr falls linearly to a tenth over the last half.

    threads: more than one for so small a model wait for each other where cores are taken.
    """

    documents: int = 204_800
    batch: int = 64
    lr_matrices: float = 3e-3
    lr_other: float = 3e-3
    width: int = 128
    layers: int = 4
    heads: int = 4
    key_value_heads: int = 2
    feed_forward: int = 384
    threads: int = 1


def build_model(settings: WarmStart, tokenizer: Tokenizer, seed: int) -> SmolLM3ForCausalLM:
    """A fresh model with weights drawn from `seed`."""
    torch.manual_seed(seed)
    config = SmolLM3Config(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=settings.width,
        intermediate_size=settings.feed_forward,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.key_value_heads,
        no_rope_layers=[0] * settings.layers,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        use_cache=True,
        pad_token_id=tokenizer.token_to_id(PAD),
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(EOS),
    )
    return SmolLM3ForCausalLM(config)


@dataclass(frozen=True, slots=True)
class Batch:
    """tokens_BT: right-padded ids; weights_BT: loss weight of predicting each token (0: none)."""

    tokens_BT: torch.Tensor
    weights_BT: torch.Tensor


def batches(corpus: Corpus, tokenizer: Tokenizer, settings: WarmStart) -> Iterator[Batch]:
    """Batches of documents of similar length, so that little is padding."""
    pool = 64 * settings.batch
    for _ in range(0, settings.documents, pool):
        encoded = _encode(list(corpus.documents(pool)), tokenizer)
        encoded.sort(key=lambda pair: len(pair[0]))
        chunks = [encoded[i : i + settings.batch] for i in range(0, pool, settings.batch)]
        for i in corpus.random.permutation(len(chunks)):
            yield _collate(chunks[i], _id_of(PAD, tokenizer))


def _encode(documents: list, tokenizer: Tokenizer) -> list[tuple[list[int], list[float]]]:
    """Ids and loss weights of each document; the prompt weighs nothing, the end token 1."""
    texts = [text for d in documents for text in (d.prompt, *(piece for piece, _ in d.pieces))]
    ids = iter(tokenizer.encode_batch(texts, add_special_tokens=False))
    eos = _id_of(EOS, tokenizer)
    encoded = []
    for document in documents:
        tokens = list(next(ids).ids)
        weights = [IGNORED] * len(tokens)
        for _, weight in document.pieces:
            piece = next(ids).ids
            tokens += piece
            weights += [weight] * len(piece)
        encoded.append(([*tokens, eos], [*weights, 1.0]))
    return encoded


def _id_of(piece: str, tokenizer: Tokenizer) -> int:
    found = tokenizer.token_to_id(piece)
    assert found is not None, piece
    return int(found)


def _collate(chunk: list[tuple[list[int], list[float]]], pad: int) -> Batch:
    length = max(len(tokens) for tokens, _ in chunk)
    tokens_BT = np.full((len(chunk), length), pad, dtype=np.int64)
    weights_BT = np.zeros((len(chunk), length), dtype=np.float32)
    for row, (tokens, weights) in enumerate(chunk):
        tokens_BT[row, : len(tokens)] = tokens
        weights_BT[row, : len(weights)] = weights
    return Batch(torch.from_numpy(tokens_BT), torch.from_numpy(weights_BT))


def train(
    model: SmolLM3ForCausalLM,
    stream: Iterator[Batch],
    settings: WarmStart,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Muon (arXiv 2502.16982's scaling) for the matrices, AdamW for embeddings and norms."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    chosen = {id(p) for p in matrices}
    other = [p for p in model.parameters() if id(p) not in chosen]
    optimisers = [
        torch.optim.Muon(
            matrices, lr=settings.lr_matrices, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(other, lr=settings.lr_other, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    peaks = [settings.lr_matrices, settings.lr_other]
    total = -(-settings.documents // settings.batch)
    torch.set_num_threads(settings.threads)
    model.train()
    for step, batch in enumerate(stream):
        scale = _schedule(step, total)
        for optimiser, peak in zip(optimisers, peaks, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = peak * scale
        loss = _loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        on_step(step, float(loss.detach()))
    model.eval()


def _schedule(step: int, total: int) -> float:
    warm_up = min(1.0, (step + 1) / 50)
    decay = min(1.0, 0.1 + 1.8 * (1 - step / total))
    return warm_up * decay


def _loss(model: SmolLM3ForCausalLM, batch: Batch) -> torch.Tensor:
    """Weighted mean cross-entropy; logits are computed only where something is predicted."""
    tokens_BT, weights_BT = batch.tokens_BT, batch.weights_BT
    assert tokens_BT.shape == weights_BT.shape
    hidden_BTD = model.model(tokens_BT, use_cache=False).last_hidden_state[:, :-1]
    weights_BT = weights_BT[:, 1:]
    used = weights_BT > 0
    logits_NV = model.lm_head(hidden_BTD[used]).float()
    losses_N = torch.nn.functional.cross_entropy(
        logits_NV, tokens_BT[:, 1:][used], reduction="none"
    )
    return (losses_N * weights_BT[used]).sum() / weights_BT[used].sum()
