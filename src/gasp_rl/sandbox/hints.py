"""What a teacher's program finds in `typing`: names that annotate, and do nothing else.

The real ones compile the texts that they are given, keep them where a comparison hands them to a
program, and evaluate them on request.
"""

import collections
import collections.abc
from typing import Any

_words = str.split


class Hint:
    """An annotation that takes any parameters and keeps none."""

    __slots__ = ()

    def __getitem__(self, parameters: object) -> "Hint":
        return self

    def __or__(self, other: object) -> "Hint":
        return self

    __ror__ = __or__

    def __mro_entries__(self, bases: object) -> tuple[type, ...]:
        """A class that has it among its bases is one without it."""
        return ()


_HINT = Hint()


def _type_var(name: str, *constraints: object, **named: object) -> Hint:
    return _HINT


def _cast(kind: object, value: Any) -> Any:
    return value


class _FromFields(type):
    """Makes a class statement with `NamedTuple` as its base into a named tuple."""

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
        if not bases:
            return super().__new__(mcs, name, bases, body)
        fields = list(type(name, (), dict(body)).__annotations__)
        defaults = [body[field] for field in fields if field in body]
        if fields[len(fields) - len(defaults) :] != [f for f in fields if f in body]:
            raise TypeError("a field without a default follows one with a default")
        made = collections.namedtuple(name, fields, defaults=defaults)  # type: ignore[misc]
        for key, value in body.items():
            if key in _OF_TUPLES:
                raise AttributeError(f"cannot overwrite {key} of a named tuple")
            if key not in fields and (callable(value) or not key.startswith("__")):
                setattr(made, key, value)
        return made

    def __call__(cls, name: str, fields: Any = ()) -> Any:
        return collections.namedtuple(name, [field for field, _ in fields])


_OF_TUPLES = _words("__new__ __init__ __slots__ _fields _field_defaults _make _replace _asdict")


class NamedTuple(metaclass=_FromFields):
    """`typing.NamedTuple`, without a look at the types of its fields."""


_HINTS = _words("Any ClassVar Final Generic Literal NoReturn Optional Type Union")
_ABSTRACT = _words("""Callable Collection Generator Hashable Iterable Iterator Mapping MutableMapping
    MutableSequence Sequence Sized""")

NAMES: dict[str, Any] = {
    **dict.fromkeys(_HINTS, _HINT),
    **{name: getattr(collections.abc, name) for name in _ABSTRACT},
    **{kind.__name__.capitalize(): kind for kind in (list, dict, set, tuple)},
    "FrozenSet": frozenset, "Text": str, "Counter": collections.Counter,
    "OrderedDict": collections.OrderedDict, "DefaultDict": collections.defaultdict,
    "Deque": collections.deque, "NamedTuple": NamedTuple, "TypeVar": _type_var, "cast": _cast,
}  # fmt: skip
