"""Text and records as compressed bytes: any sequence of characters survives the round trip."""

import json
import zlib
from array import array
from typing import Any

from gasp_rl.errors import StoreError
from gasp_rl.store.records import TokenTrace
from gasp_rl.types import content_key


def pack_text(text: str) -> bytes:
    """UTF-8 with lone surrogates passed through, compressed."""
    return zlib.compress(text.encode("utf-8", "surrogatepass"), 6)


def unpack_text(blob: bytes | None) -> str:
    """Inverse of `pack_text`; nothing stored gives the empty text."""
    return "" if blob is None else _inflate(blob).decode("utf-8", "surrogatepass")


def pack_json(value: Any) -> bytes:
    """JSON in ASCII (lone surrogates become escapes), compressed."""
    return zlib.compress(json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode(), 6)


def unpack_json(blob: bytes) -> Any:
    """Inverse of `pack_json`."""
    try:
        return json.loads(_inflate(blob))
    except ValueError as error:
        raise StoreError(f"a stored record is damaged: {error}") from None


def pack_trace(trace: TokenTrace) -> bytes:
    """Token ids and ends as int32, log-probabilities as float32."""
    arrays = array("i", trace.ids), array("i", trace.ends), array("f", trace.logprobs)
    return zlib.compress(b"".join(a.tobytes() for a in arrays), 6)


def unpack_trace(blob: bytes) -> TokenTrace:
    """Inverse of `pack_trace`, with log-probabilities rounded to float32."""
    data = _inflate(blob)
    size = len(data) // 3
    ids, ends, logprobs = array("i"), array("i"), array("f")
    ids.frombytes(data[:size])
    ends.frombytes(data[size : 2 * size])
    logprobs.frombytes(data[2 * size :])
    return TokenTrace(ids=tuple(ids), logprobs=tuple(logprobs), ends=tuple(ends))


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


def _inflate(blob: bytes) -> bytes:
    try:
        return zlib.decompress(blob)
    except zlib.error as error:
        raise StoreError(f"a stored text is damaged: {error}") from None
