"""What a program's process sends back: one tag byte, a 4-byte length, that many bytes.

Written by an untrusted process: the reader checks everything, keeps bytes as bytes, and treats
whatever does not fit as the program's own failure.
"""

import struct

VALUE = b"V"  # canonical bytes of one output
BAD = b"B"  # an output without a canonical form
ERROR = b"E"  # an exception reached the top
EXIT = b"X"  # SystemExit
MEMORY = b"M"  # MemoryError
COMPILE = b"C"  # the source does not compile
NO_ENTRY = b"N"  # the function is missing
UNSAFE = b"U"  # a teacher's program uses a name that it may not
IMPURE = b"I"  # a teacher's program imports the clock or the machine
CALL = b"Q"  # tests ask the program for a call: see `asserts`
DONE = b"D"  # nothing follows

_TAGS = frozenset(b"VBEXMCNUIQD")
_HEAD = struct.Struct("<cI")


def pack(tag: bytes, payload: bytes = b"") -> bytes:
    return _HEAD.pack(tag, len(payload)) + payload


class MalformedError(ValueError):
    """The bytes are not frames: the program wrote to the socket itself."""


class Reader:
    """Splits a stream into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """The frames completed by `data`; MalformedError on an unknown tag."""
        buffer = self._buffer
        buffer += data
        found = []
        start = 0
        while len(buffer) - start >= _HEAD.size:
            tag, length = _HEAD.unpack_from(buffer, start)
            if tag[0] not in _TAGS:
                raise MalformedError("unknown frame")
            end = start + _HEAD.size + length
            if end > len(buffer):
                break
            found.append((tag, bytes(buffer[start + _HEAD.size : end])))
            start = end
        del buffer[:start]
        return found

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame."""
        return len(self._buffer)
