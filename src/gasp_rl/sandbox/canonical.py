"""Values as text: one canonical Python literal per value.

The canonical form of a value is the Python literal that a person would write, in UTF-8, with
dictionaries and sets in sorted order. Equal values of equal types have equal bytes, so a trusted
process compares bytes and never touches an object that a program made.

Policy: 1 == 1.0 == True and nan == nan (`same`); subclasses of builtin types are reduced to their
builtin value (Counter to dict, namedtuple to tuple) and deque to list; bytearray is bytes; anything
else has no canonical form.
"""

from collections import deque
from typing import Any

from gasp_rl.sandbox.literals import (
    MAX_DEPTH,
    MAX_KEYS,
    LiteralError,
    parse_arguments,
    parse_literal,
)

__all__ = ["LiteralError", "encode", "literal", "parse_arguments", "parse_literal", "same"]


def encode(value: Any, *, sort_keys: bool = True) -> bytes:
    """Canonical bytes of a value; LiteralError where it has none.

    With `sort_keys=False` dictionaries keep their order: for values that are handed to a program
    rather than compared.

    Example::

        encode({"b": 1, "a": (2.0, True)})   # b"{'a': (2.0, True), 'b': 1}"
    """
    return _text(value, 0, sort_keys).encode()


def literal(data: bytes) -> str:
    """The literal text of canonical bytes; LiteralError if they are not canonical."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise LiteralError("not UTF-8") from error
    if encode(parse_literal(text)) != data:
        raise LiteralError("not in canonical form")
    return text


def same(left: bytes, right: bytes) -> bool:
    """Whether two canonical byte strings stand for equal values (1 == 1.0 == True, nan == nan)."""
    if left == right:
        return True
    # Equal values have the same shape, so these counts decide almost every unequal pair at once.
    if left.count(b",") != right.count(b",") or left.count(b"[") != right.count(b"["):
        return False
    try:
        a, b = parse_literal(left.decode()), parse_literal(right.decode())
    except (LiteralError, UnicodeDecodeError):
        return False
    # All nans of the parser are one object, and containers compare by identity first.
    return a is b or bool(a == b)


_PLAIN = frozenset({int, str, bool, bytes, type(None)})
_NUMBERS = frozenset({int, float})
_SORTABLE = (frozenset({int}), frozenset({str}))


def _text(value: Any, depth: int, sort: bool) -> str:
    kind = type(value)
    if kind is str or kind is bool or kind is bytes or value is None:
        return repr(value)
    if kind is int:
        return _int_text(value)
    if kind is float:
        return _float_text(value)
    if depth >= MAX_DEPTH:
        raise LiteralError(f"nested deeper than {MAX_DEPTH}")
    if kind is list or kind is tuple:
        return _sequence_text(value, kind, depth, sort)
    if kind is dict:
        pairs = _keyed(value, depth, sort)
        return "{" + ", ".join([f"{k}: {_text(v, depth + 1, sort)}" for k, v in pairs]) + "}"
    if kind is set:
        inner = ", ".join([k for k, _ in _keyed(value, depth, True)])
        return f"{{{inner}}}" if inner else "set()"
    if kind is frozenset:
        inner = ", ".join([k for k, _ in _keyed(value, depth, True)])
        return f"frozenset({{{inner}}})" if inner else "frozenset()"
    if kind is complex:
        return _complex_text(value)
    return _text(_reduced(value), depth, sort)


def _int_text(value: int) -> str:
    try:
        return repr(value)
    except ValueError:  # more digits than the interpreter converts in linear time
        return hex(value)


def _float_text(value: float) -> str:
    text = repr(value)
    return text if "n" not in text else f"float('{text}')"


def _complex_text(value: complex) -> str:
    text = repr(complex(value.real + 0.0, value.imag + 0.0))  # no negative zeros
    if "n" in text:
        raise LiteralError("complex number that is not finite")
    return text


def _sequence_text(value: Any, kind: type, depth: int, sort: bool) -> str:
    kinds = set(map(type, value))
    if kinds <= _PLAIN:
        try:
            return repr(value)
        except ValueError:
            pass  # an int with too many digits: item by item
    elif kinds <= _NUMBERS:
        try:
            text = repr(value)
        except ValueError:
            text = "n"
        if "n" not in text:
            return text
    items = ", ".join([_text(item, depth + 1, sort) for item in value])
    if kind is list:
        return f"[{items}]"
    return f"({items},)" if len(value) == 1 else f"({items})"


def _keyed(value: Any, depth: int, sort: bool) -> list[tuple[str, Any]]:
    """Keys' texts and values, in the keys' own order where they have one, else in text order."""
    is_dict = type(value) is dict
    keys = list(value)
    if len(keys) > MAX_KEYS:
        raise LiteralError(f"more than {MAX_KEYS} keys")
    has_order = frozenset(map(type, keys)) in _SORTABLE
    if sort and has_order:
        keys.sort()
    pairs = [(_text(k, depth + 1, sort), value[k] if is_dict else None) for k in keys]
    if sort and not has_order:
        pairs.sort(key=lambda pair: pair[0])
    return pairs


def _reduced(value: Any) -> Any:
    """The builtin value inside a subclass's instance, read by the builtin type's own methods."""
    kind = type(value)
    if issubclass(kind, int):
        return int.__add__(value, 0)
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, float):
        return float.__add__(value, 0.0)
    if issubclass(kind, list):
        return list.__getitem__(value, slice(None))
    if issubclass(kind, tuple):
        return tuple.__getitem__(value, slice(None))
    if issubclass(kind, dict):
        return dict(dict.items(value))
    if issubclass(kind, set):
        return set().union(value)
    if issubclass(kind, frozenset):
        return frozenset().union(value)
    if issubclass(kind, bytes):
        return bytes.__getitem__(value, slice(None))
    if issubclass(kind, bytearray):
        return bytes(bytearray.__getitem__(value, slice(None)))
    if issubclass(kind, complex):
        return complex.__add__(value, 0)
    if issubclass(kind, deque):
        return list(deque.__iter__(value))
    raise LiteralError(f"a value of type {kind.__name__[:60]} has no literal")
