"""Rules for a teacher's program, whose outputs become the gold of a task.

A student's program gains nothing by lying about its outputs: they are compared with a gold it does
not know. A teacher's outputs *are* the gold, so its program must not reach the machinery that
reports them. Hence no attribute with a double underscore, no frames, and only stand-ins for modules
that hold nothing but pure, public names. Where a library would hand a program its own objects (the
memo of a deep copy, the inside of annotations, what an error was raised about), the way is closed.
These rules add to the walls of the process; they do not replace any.
"""

import _string  # type: ignore[import-not-found]
import ast
import builtins
import copy
import enum
import functools
import importlib
import random
import re
import types
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from gasp_rl.sandbox import hints

_words = str.split

_MODULES = _words("""
abc array bisect calendar cmath collections collections.abc copy datetime
decimal enum fractions functools heapq itertools json math numbers operator random re statistics
string textwrap typing unicodedata""")

#: Modules that read the clock, the machine or other programs: their import has its own verdict.
_IMPURE = frozenset(
    _words("""time os sys threading multiprocessing subprocess socket asyncio secrets uuid tempfile
    pathlib shutil signal platform getpass urllib http requests logging io""")
)
#: impure modules with a pure part that programs like to import
_PARTIAL: Mapping[str, Iterable[str]] = {
    "os": (),
    "os.path": _words("join basename dirname split splitext normpath commonprefix isabs sep"),
    "sys": _words("maxsize float_info setrecursionlimit maxunicode"),
}
# Modules of which only these names are safe. The rest can execute text that the rules did not see
# (string annotations, field names) or read attributes by name; dataclasses, all of it.
_ONLY = {
    "enum": _words("Enum IntEnum Flag IntFlag auto unique"),
    "functools": _words(
        "reduce lru_cache cache partial cmp_to_key total_ordering cached_property partialmethod"
    ),
    "typing": (),  # all are ours: `hints`
}
_LEFT_OUT = {
    "abc": {"ABCMeta"},
    "operator": {"attrgetter", "methodcaller"},
    "random": {"SystemRandom"},
    "string": {"Formatter"},
    "unicodedata": {"ucd_3_2_0"},
}
_BUILTINS = _words("""
abs all any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod
enumerate filter float format frozenset hash hex id int isinstance issubclass iter len list map max
min next object oct ord pow print property range repr reversed round set slice sorted staticmethod
str sum super tuple zip NotImplemented Ellipsis None True False __build_class__""")

_DUNDERS = frozenset(
    f"__{name}__"
    for name in _words("""
    name main doc import init new post_init str repr eq ne lt le gt ge hash bool len
    iter next reversed contains getitem setitem delitem missing call enter exit add radd iadd sub
    rsub isub mul rmul imul truediv rtruediv floordiv rfloordiv mod rmod divmod pow rpow neg pos abs
    invert and rand or ror xor rxor lshift rshift int float complex index round trunc floor ceil
    format bytes slots matmul total concat length_hint""")
)
#: The hooks of an enumeration that a program may write; the others make classes and modules.
_SUNDERS = frozenset(_words("_missing_ _generate_next_value_ _ignore_ _order_ _name_ _value_"))
_FRAMES = frozenset(
    _words("""
    gi_frame gi_code gi_yieldfrom cr_frame cr_code cr_await cr_origin ag_frame ag_code ag_await
    tb_frame tb_next tb_lasti f_back f_builtins f_code f_globals f_locals f_trace f_lineno co_code
    co_consts co_names mro with_traceback register_at_fork attrname""")
)
_READ_ONLY = frozenset({"__name__", "__import__", "__doc__"})
_CLOCK = frozenset({"now", "today", "utcnow", "fromtimestamp"})
_DATES = ("datetime", "calendar")
_FORMATS = frozenset({"format", "format_map"})  # they read attributes that a text names
_FAILED = "obj"  # of an AttributeError: what it was raised about, also inside a library
_SUSPECT = re.compile(
    "|".join(
        [*_words(rf"__ \b_\w+_\b \b{_FAILED}\b import class match case format"), *sorted(_FRAMES)]
    )
)


def may_offend(code: str) -> bool:
    """Whether `offence` could find something: a look at the text that spares most programs the
    rest. Each of its rules needs one of these words, or a name that is not ASCII."""
    return not code.isascii() or _SUSPECT.search(code) is not None


def offence(tree: ast.Module) -> tuple[bool, str] | None:
    """The first thing in a program that a teacher may not use, or None.

    The flag says that it is an impure module rather than an unsafe name.
    """
    nodes = list(ast.walk(tree))
    clock = any(isinstance(n, ast.alias) and n.name.startswith(_DATES) for n in nodes)
    for node in nodes:
        if isinstance(node, ast.Import):
            found = next(filter(None, (_module_offence(a.name) for a in node.names)), None)
        elif isinstance(node, ast.ImportFrom):
            clock |= node.module in _DATES
            found = (False, "relative import") if node.level else _module_offence(node.module or "")
        else:
            found = None
        found = found or _identifier_offence(node, clock)
        if found:
            return found
    return None


def _module_offence(name: str) -> tuple[bool, str] | None:
    if name in _MODULES or name in _PARTIAL:
        return None
    return name.split(".")[0] in _IMPURE, f"import {name[:60]}"


def _identifier_offence(node: ast.AST, clock: bool) -> tuple[bool, str] | None:
    """Every identifier of a node is a plain string in one of its fields, whatever the node is."""
    if isinstance(node, ast.Constant):
        return None
    if isinstance(node, ast.MatchClass):
        if node.patterns:  # `__match_args__` reads attributes by name
            return False, "class pattern by position"
        if not {*_FORMATS, _FAILED}.isdisjoint(node.kwd_attrs):
            return False, "class pattern that reads a format or an error's object"
    if isinstance(node, ast.Attribute):
        if node.attr in _FORMATS and not _is_plain(node.value):
            return False, f"{node.attr} of a text that is not a plain template"
        if node.attr == _FAILED:
            return False, f"attribute {_FAILED}"
    if isinstance(node, ast.ClassDef) and node.keywords:
        return False, "class keyword"
    if isinstance(node, ast.Name) and node.id in _READ_ONLY and not isinstance(node.ctx, ast.Load):
        return False, f"assignment to {node.id}"
    for field in node._fields:
        value = getattr(node, field, None)
        for name in value if isinstance(value, list) else (value,):
            if type(name) is not str:
                continue
            if not is_allowed_name(name):
                if _is_class_name(node):
                    continue
                return False, f"name {name[:60]}"
            if clock and name in _CLOCK:
                return True, f"clock {name}"
    return _class_offence(node)


def _is_class_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "__class__"


def _class_offence(node: ast.AST) -> tuple[bool, str] | None:
    """`x.__class__` is allowed only as `x.__class__.__name__`."""
    for child in ast.iter_child_nodes(node):
        if _is_class_name(child) and not (
            isinstance(node, ast.Attribute) and node.attr == "__name__"
        ):
            return False, "name __class__"
    return None


def _is_plain(template: ast.expr) -> bool:
    """A text written on the spot whose fields, and those of their formats, read no attribute."""
    pending = [template.value] if isinstance(template, ast.Constant) else [None]
    while pending:
        text = pending.pop()
        if type(text) is not str:
            return False
        try:
            for _, field, spec, _ in _string.formatter_parser(text):
                if field and "." in field:
                    return False
                pending += [spec] if spec else []
        except ValueError:
            return False  # what stands before the broken part is filled in all the same
    return True


def is_allowed_name(name: str) -> bool:
    """Whether teacher code may write this identifier or ask for this attribute."""
    name = unicodedata.normalize("NFKC", name)  # as the compiler does
    if name in _FRAMES:
        return False
    is_marked = name.startswith("_") and name.endswith("_") and name.strip("_")
    return not is_marked or name in _DUNDERS or name in _SUNDERS


# -- what the program finds at run time ------------------------------------------------------

#: Methods of dates import these by the program's `__import__`, only to take them from where they
#: are loaded: so they get an empty module, as a program would.
_WANTED_BY_C = ("time", "_strptime")
_modules: dict[str, types.ModuleType] = {}


def _stand_in(name: str) -> types.ModuleType:
    """A module object that holds the public names of the real one and no other module."""
    if name in _modules:
        return _modules[name]
    module = types.ModuleType(name)
    real = importlib.import_module(name)
    names: Iterable[str]
    if name in _PARTIAL or name in _ONLY:
        names = (*_PARTIAL.get(name, ()), *_ONLY.get(name, ()))
    else:
        names = getattr(real, "__all__", None) or [n for n in dir(real) if n[0] != "_"]
    for public in names:
        value = getattr(real, public)
        if not isinstance(value, types.ModuleType) and public not in _LEFT_OUT.get(name, ()):
            module.__dict__[public] = value
    module.__dict__.update(_OURS.get(name, {}))
    _modules[name] = module
    return module


class _ByClass(enum.EnumMeta):
    """No enumeration from a call: its names are texts, and may be those of special methods."""

    def __call__(cls, value: Any, *more: Any, **named: Any) -> Any:
        if more or named:
            raise TypeError("teacher programs write an enumeration as a class")
        return super().__call__(value)

    _create_ = _convert_ = None


class Enum(enum.Enum, metaclass=_ByClass):
    pass


class IntEnum(enum.IntEnum, metaclass=_ByClass):
    pass


class Flag(enum.Flag, metaclass=_ByClass):
    pass


class IntFlag(enum.IntFlag, metaclass=_ByClass):
    pass


class Random(random.Random):
    """Its parent's own seed, which asks the kernel for a coin, is out of reach: `super` ends here."""


def _deepcopy(value: Any) -> Any:
    """`copy.deepcopy` without the memo, which holds addresses and may put anything in any place."""
    return copy.deepcopy(value)


def _wraps(wrapped: Any) -> Any:
    """`functools.wraps` without the choice of attributes."""

    def keep_name(function: Any) -> Any:
        if type(function) is types.FunctionType and type(wrapped) is types.FunctionType:
            function.__name__, function.__doc__ = wrapped.__name__, wrapped.__doc__
        return function

    return keep_name


_OURS: Mapping[str, Mapping[str, Any]] = {
    "copy": {"deepcopy": _deepcopy},
    "enum": {kind.__name__: kind for kind in (Enum, IntEnum, Flag, IntFlag)},
    "functools": {"wraps": _wraps},
    "random": {"Random": Random},
    "typing": hints.NAMES,
}


def _import(
    name: str,
    globals: object = None,
    locals: object = None,
    fromlist: tuple[str, ...] = (),
    level: int = 0,
) -> types.ModuleType:
    if type(name) is not str or level or (name not in _MODULES and name not in _PARTIAL):
        if name in _WANTED_BY_C and not level:
            return types.ModuleType(name)
        raise ImportError(f"teacher programs may not import {name!r:.60}")
    module = _stand_in(name)
    head, dot, tail = name.partition(".")
    if not dot:
        return module
    parent = _stand_in(head)
    parent.__dict__[tail] = module
    return module if fromlist else parent


def _checked(name: object) -> str:
    if type(name) is not str or not name.isascii() or name[:1] == "_":
        raise AttributeError("teacher programs may not use this name")
    if name in _CLOCK or name in _FORMATS or name == _FAILED or not is_allowed_name(name):
        raise AttributeError("teacher programs may not use this name")
    return name


def _getattr(value: Any, name: str, *default: Any) -> Any:
    return getattr(value, _checked(name), *default)


def _hasattr(value: Any, name: str) -> bool:
    return hasattr(value, _checked(name))


def _setattr(value: Any, name: str, new: Any) -> None:
    setattr(value, _checked(name), new)


def _delattr(value: Any, name: str) -> None:
    delattr(value, _checked(name))


def _input(prompt: object = "") -> str:
    raise EOFError("a function has no standard input")


class _TypeMeta(type):
    """Makes the stand-in for `type` answer `isinstance(x, type)` as the real one does."""

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, type)

    def __call__(cls, value: Any) -> Any:
        kind = type(value)
        if issubclass(kind, type) or kind.__module__ == "typing":
            raise TypeError("teacher programs may not use the type of a type")
        return kind


class _Type(metaclass=_TypeMeta):
    """What a teacher's program knows as `type`: the one-argument form."""


@functools.cache
def builtins_for_teachers() -> dict[str, Any]:
    """The builtins that a teacher's program finds; one dictionary, as a process runs one program."""
    table: dict[str, Any] = {name: getattr(builtins, name) for name in _BUILTINS}
    for name, value in vars(builtins).items():
        if isinstance(value, type) and issubclass(value, BaseException):
            table[name] = value
    table |= {"__import__": _import, "getattr": _getattr, "hasattr": _hasattr}
    table |= {"setattr": _setattr, "delattr": _delattr, "input": _input, "type": _Type}
    for module in (*_MODULES, *_PARTIAL):
        _stand_in(module)
    for child in ("os.path", "collections.abc"):
        head, _, tail = child.partition(".")
        _stand_in(head).__dict__[tail] = _stand_in(child)
    return table
