"""The attention function of the local engine, under the name `ATTENTION` for transformers.

With a `layout` (a `Packed`, handed through the model's forward) it follows the packed layout;
without one it is transformers' own sdpa, but for single new tokens on a CPU.

On a GPU torch may choose among `KERNELS`. cuDNN's, which it prefers on Hopper, are left out: they
are built anew for each shape of their inputs, and the shapes of packed rows are always new ones. On
an H200 (0.5B) a step of training takes 4.1 s without them; with them 11.4 s, and 3.4 s only when the
same shapes come again (`plan-0.5b` and `plan-0.5b-cudnn` of bench/gpu/check.py).
"""

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from gasp_rl.engines.packing import Packed

ATTENTION = "gasp-rl"
KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    layout: Packed | None = None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """query [batch, heads, queries, head_dim]; key and value have kv_heads; returns the output as
    [batch, queries, heads, head_dim]."""
    on_cpu = query.device.type == "cpu"
    with nullcontext() if on_cpu else sdpa_kernel(KERNELS):
        if layout is not None:
            return packed_attention(query, key, value, layout, scaling), None
        if query.shape[2] == 1 and attention_mask is not None and on_cpu:
            return decode_attention(query, key, value, attention_mask, scaling), None
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )


def decode_attention(
    query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, scaling: float | None
) -> Tensor:
    """Attention of one new token for each row: two batched products.

    On a CPU this takes two thirds of the time of sdpa, which is made for many queries.
    """
    rows, heads, _, head_dim = query.shape
    kv_heads, width = key.shape[1:3]
    scale = head_dim**-0.5 if scaling is None else scaling
    query_KSD = (query * scale).view(rows * kv_heads, heads // kv_heads, head_dim)
    scores_KSW = torch.bmm(query_KSD, key.flatten(0, 1).transpose(1, 2))
    scores = scores_KSW.view(rows, heads, width).add_(attention_mask[:, 0])
    weights_KSW = scores.softmax(-1).view_as(scores_KSW)
    return torch.bmm(weights_KSW, value.flatten(0, 1)).view(rows, 1, heads, head_dim)


def packed_attention(
    query: Tensor, key: Tensor, value: Tensor, layout: Packed, scaling: float | None
) -> Tensor:
    """Attention of one packed row: gather each bucket, attend, put the outputs back in order.

    Query heads that share a key/value head are stacked as more queries of it, so keys and values
    are never repeated.
    """
    _, heads, tokens, head_dim = query.shape
    kv_heads = key.shape[1]
    share = heads // kv_heads
    query_TD, key_TD, value_TD = (
        x[0].transpose(0, 1).reshape(tokens, -1) for x in (query, key, value)
    )
    outputs = []
    for bucket in layout.buckets:
        rows, _, queries, keys = bucket.mask.shape
        q = query_TD.index_select(0, bucket.queries).view(rows, queries, kv_heads, share, head_dim)
        q = q.permute(0, 2, 3, 1, 4).reshape(rows, kv_heads, share * queries, head_dim)
        k, v = (
            x.index_select(0, bucket.keys).view(rows, keys, kv_heads, head_dim).transpose(1, 2)
            for x in (key_TD, value_TD)
        )
        out = nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=bucket.mask.repeat(1, 1, share, 1), scale=scaling
        )
        out = out.view(rows, kv_heads, share, queries, head_dim).permute(0, 3, 1, 2, 4)
        outputs.append(out.reshape(rows * queries, heads * head_dim))
    return torch.cat(outputs).index_select(0, layout.places_T).view(1, tokens, heads, head_dim)


AttentionInterface.register(ATTENTION, attention)
