"""Text and records as bytes, long ones compressed: any sequence of characters survives the round
trip.

A blob is a zlib stream, or where that costs more than it saves one byte that begins no zlib stream
and then the bytes as they are. Schemas before the third have zlib streams alone.
"""

import json
import struct
import zlib
from typing import Any

from gasp_rl.errors import StoreError
from gasp_rl.store.records import TokenTrace
from gasp_rl.types import content_key

AS_IS, NARROW, WIDE = b"\0", b"\2", b"\4"
"""First bytes of what is no zlib stream: bytes as they are, traces of two- and four-byte integers."""

SHORT = 512
"""Bytes below which zlib saves little."""

WINDOW_BITS, MEMORY_LEVEL = 12, 5
"""A window of 4 KB: making zlib's usual state takes ten times as long as compressing a short text."""


def pack_text(text: str) -> bytes:
    """UTF-8 with lone surrogates passed through, compressed where that pays."""
    return _deflate(text.encode("utf-8", "surrogatepass"))


def unpack_text(blob: bytes | None) -> str:
    """Inverse of `pack_text`; nothing stored gives the empty text."""
    return "" if blob is None else _inflate(blob).decode("utf-8", "surrogatepass")


def pack_json(value: Any) -> bytes:
    """JSON in ASCII (lone surrogates become escapes), compressed where that pays."""
    return _deflate(_encode_json(value).encode())


def unpack_json(blob: bytes) -> Any:
    """Inverse of `pack_json`."""
    try:
        return json.loads(_inflate(blob))
    except ValueError as error:
        raise StoreError(f"a stored record is damaged: {error}") from None


def pack_trace(trace: TokenTrace) -> bytes:
    """Token ids and ends as integers of two bytes, or of four where they need it, and
    log-probabilities as float32. Not compressed, since log-probabilities cannot be.
    """
    n = len(trace.ids)
    values = *trace.ids, *trace.ends, *trace.logprobs
    try:
        return struct.pack(f"<c{2 * n}H{n}f", NARROW, *values)
    except struct.error:
        return struct.pack(f"<c{2 * n}I{n}f", WIDE, *values)


def unpack_trace(blob: bytes) -> TokenTrace:
    """Inverse of `pack_trace`, with log-probabilities rounded to float32."""
    mark = blob[:1]
    if mark in (NARROW, WIDE):
        data, integer = blob[1:], "H" if mark == NARROW else "I"
    else:  # schemas before the third
        data, integer = _inflate(blob), "I"
    n = len(data) // (2 * struct.calcsize(f"<{integer}") + 4)
    values = struct.unpack(f"<{2 * n}{integer}{n}f", data)
    return TokenTrace(ids=values[:n], ends=values[n : 2 * n], logprobs=values[2 * n :])


def prompt_key(text: str) -> str:
    """Content address of a prompt."""
    return content_key("prompt", text)


def label_of(text: str, width: int = 100) -> str:
    """A one-line title: printable characters of the first non-empty line, at most `width`.

    Example::

        label_of("\\n Sum the list.\\nMore")   # "Sum the list."
    """
    head = text[:2000].lstrip().split("\n", 1)[0]
    return "".join(c for c in head if c.isprintable()).strip()[:width]


_encode_json = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def _deflate(data: bytes) -> bytes:
    if len(data) < SHORT:
        return AS_IS + data
    if len(data) > 1 << WINDOW_BITS:
        return zlib.compress(data, 6)
    small = zlib.compressobj(6, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL)
    return small.compress(data) + small.flush()


def _inflate(blob: bytes) -> bytes:
    if blob[:1] == AS_IS:
        return blob[1:]
    try:
        return zlib.decompress(blob)
    except zlib.error as error:
        raise StoreError(f"a stored text is damaged: {error}") from None
