"""The decode loop's key/value cache: one tensor, one write column shared by all rows.

Rows that joined at different times still write the same column, because a joining prompt is placed
so that it *ends* at that column:

    column    0 1 2 3 4 5 6 7        row a joined when the column was 3, row b when it was 5;
    row a     p p p c c c c .        p: prompt, c: completion, .: not written yet,
    row b     - - - p p c c .        -: never seen by the row (masked)

So a step writes one slice and no row is ever moved for another one's sake. Columns that no live row
needs are dropped, and new ones opened, `GROWTH` at a time: the width stays tight, which keeps every
read contiguous (on a CPU, strided attention over the same numbers takes twice as long).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import Cache

GROWTH = 16


class DecodeCache(Cache):
    """Keys and values of the rows being decoded, as transformers' attention layers expect them.

    `_kv` is [layers, 2, places, kv_heads, width, head_dim]; `_mask` is additive,
    [places, 1, 1, width]. The first `rows` places are live.
    """

    def __init__(self, like: Tensor) -> None:
        """Shapes, type and device follow `like`, [layers, 2, kv_heads, any length, head_dim]."""
        super().__init__(layers=[])
        self.rows = 0
        self._column = 0  # where the next step writes
        layers, two, heads, _, head_dim = like.shape
        self._kv = like.new_zeros(layers, two, 0, heads, 0, head_dim)
        self._mask = like.new_zeros(0, 1, 1, 0)
        self._start = torch.zeros(0, dtype=torch.long, device=like.device)

    def join(self, prompts: Sequence[tuple[Tensor, int]]) -> None:
        """Add rows: keys and values of a prompt, [layers, 2, kv_heads, length, head_dim], and how
        many rows share it."""
        rows = self.rows + sum(copies for _, copies in prompts)
        length = max(kv.shape[3] for kv, _ in prompts)
        if rows > self._kv.shape[2] or length > self._column:
            self._refit(rows, length)
        for kv, copies in prompts:
            here = slice(self.rows, self.rows + copies)
            begin = self._column - kv.shape[3]
            self._kv[:, :, here, :, :begin] = 0
            self._kv[:, :, here, :, begin : self._column] = kv.unsqueeze(2)
            self._mask[here] = -torch.inf
            self._mask[here, ..., begin : self._column] = 0
            self._start[here] = begin
            self.rows += copies

    def keep(self, alive: Tensor) -> Tensor:
        """Drop the rows where `alive` ([rows] of bool) is false; returns each row's old number.

        Only as many rows move as there are holes, so this costs less than decoding the dead rows
        for one more step.
        """
        kept = int(alive.sum())
        order = torch.arange(kept, device=alive.device)
        holes = (~alive[:kept]).nonzero().squeeze(1)
        if len(holes):
            movers = kept + alive[kept:].nonzero().squeeze(1)
            order[holes] = movers
            self._kv[:, :, holes] = self._kv[:, :, movers]
            self._mask[holes] = self._mask[movers]
            self._start[holes] = self._start[movers]
        self.rows = kept
        return order

    def open_column(self) -> Tensor:
        """Begin a step: make room for its column and return the mask, [rows, 1, 1, width]."""
        if self._column == self._kv.shape[4]:
            self._refit(self.rows, 0)
        self._mask[: self.rows, ..., self._column] = 0
        return self._mask[: self.rows]

    def close_column(self) -> None:
        """End a step: every layer has written."""
        self._column += 1

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Write one token's keys and values ([rows, kv_heads, 1, head_dim]), return all of them."""
        keys, values = self._kv[layer_idx, :, : self.rows]
        keys[:, :, self._column] = key_states[:, :, 0]
        values[:, :, self._column] = value_states[:, :, 0]
        return keys, values

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self._column

    def _refit(self, rows: int, length: int) -> None:
        """Reallocate for `rows` rows: drop the columns that no live row needs and open new ones
        after the write column, which moves to where a prompt of `length` tokens fits before it."""
        live = slice(0, self.rows)
        first = int(self._start[live].min()) if self.rows else self._column
        window = self._column - first
        column = max(window, length)
        old, new = slice(first, self._column), slice(column - window, column)
        layers, two, _, heads, _, head_dim = self._kv.shape
        kv = self._kv.new_empty(layers, two, rows, heads, column + GROWTH, head_dim)
        kv[:, :, live, :, new] = self._kv[:, :, live, :, old]
        kv[:, :, live, :, : column - window] = 0  # masked, but 0 * nan would still be nan
        kv[..., column:, :] = 0
        mask = self._mask.new_full((rows, 1, 1, column + GROWTH), -torch.inf)
        mask[live, ..., new] = self._mask[live, ..., old]
        start = self._start.new_zeros(rows)
        start[live] = self._start[live] + (column - self._column)
        self._kv, self._mask, self._start, self._column = kv, mask, start, column
