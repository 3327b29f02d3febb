"""Programs whose calls cannot leave a trace for later calls, told by their syntax alone.

A call leaves a trace in an object that outlives it, or in the heap: addresses of new objects show
what was allocated before, and programs see addresses in texts of functions and iterators, in the
order of sets, by `id` and `hash`. A program is *plain* if neither can happen:

- its module holds functions, imports and constants that cannot change; nothing stores an attribute,
  and no function of a library is used that remembers (`re` keeps patterns, `OrderedDict` its table);
- every value that a variable, a container or a function may hold is data: numbers, texts, bytes,
  lists, tuples, dictionaries and their kin, and types. Functions are only called, or handed to
  `map`, `sorted` and their kin. Iterators are only read out on the spot by those who make them;
- there is no set (a nan in it is ordered by its address), no comparison by identity but with
  None, True and False, no catching of errors that tell of memory or depth.

So a call of a plain function depends on its arguments and on the process's hash seed alone. The
rules refuse much that is harmless; a refusal costs time, never a verdict.
"""

import ast
import builtins
import collections
import math
from collections.abc import Callable, Iterable
from typing import Any

_words = str.split

_BUILTINS = frozenset(dir(builtins))
_CALLED = frozenset(
    _words("""abs all any ascii bin bool bytearray bytes chr complex dict divmod enumerate filter
    float format hex int isinstance iter len list map max min next oct ord pow print range repr
    reversed round sorted str sum tuple type zip""")
)
_TYPES = frozenset(_words("bool bytearray bytes complex dict float int list str tuple"))
_CAUGHT = frozenset(
    _words("""ArithmeticError AssertionError AttributeError FloatingPointError IndexError KeyError
    LookupError NameError OverflowError StopIteration TypeError UnicodeDecodeError
    UnicodeEncodeError UnicodeError ValueError ZeroDivisionError""")
)
_ERRORS = _CAUGHT | {"Exception", "RuntimeError", "NotImplementedError"}

_DATA = (str, list, dict, tuple, bytes, bytearray, int, float, complex, range)
_KIN = (collections.Counter, collections.deque)
_METHODS = frozenset(n for kind in (*_DATA, *_KIN) for n in dir(kind) if n[0] != "_")
_NO_METHODS = frozenset({"format", "format_map"})
_ITERATING_METHODS = frozenset({".keys", ".values", ".items", ".elements"})

_IMPORTED_DATA = frozenset(
    [f"math.{name}" for name in _words("pi e tau inf nan")]
    + [f"string.{name}" for name in _words("""ascii_letters ascii_lowercase ascii_uppercase digits
        hexdigits octdigits printable punctuation whitespace""")]
)  # fmt: skip
_LIBRARY = _words("""
bisect.bisect bisect.bisect_left bisect.bisect_right bisect.insort bisect.insort_left
bisect.insort_right collections.Counter collections.defaultdict collections.deque copy.copy
copy.deepcopy functools.reduce heapq.heapify heapq.heappop heapq.heappush heapq.heappushpop
heapq.heapreplace heapq.nlargest heapq.nsmallest""")
_ITERATING_LIBRARY = _words("""
itertools.accumulate itertools.chain itertools.combinations itertools.count itertools.cycle
itertools.combinations_with_replacement itertools.islice itertools.pairwise
itertools.permutations itertools.product itertools.repeat itertools.zip_longest""")
_IMPORTED_CALLS = frozenset(
    [*_LIBRARY, *_ITERATING_LIBRARY, *(f"math.{n}" for n in dir(math) if n[0] != "_")]
)
_MODULES = frozenset(name.partition(".")[0] for name in _IMPORTED_CALLS) | {"string", "typing"}

_ITERATING = frozenset([*_words("enumerate filter iter map reversed zip"), *_ITERATING_LIBRARY])
"""Calls whose value has an address in its text; only their items are data."""
_READS_FIRST = frozenset(
    _words("""all any dict enumerate iter len list next reversed sorted sum tuple .extend .fromkeys
    .join .update collections.Counter collections.deque""")
)
_READS_ALL = frozenset(["zip", *_ITERATING_LIBRARY]) - {"itertools.count", "itertools.repeat"}
_TAKES_KEY = frozenset(_words("sorted min max .sort heapq.nlargest heapq.nsmallest"))

_ANNOTATION = (
    ast.Name, ast.Attribute, ast.Subscript, ast.Tuple, ast.List, ast.Constant, ast.BinOp,
    ast.operator, ast.expr_context,
)  # fmt: skip
_ANNOTATION_INSIDE = (ast.Name, ast.Constant, ast.expr_context)


_Node = Any
"""A node of the syntax tree. It is told apart by its exact type and looked up in tables: naming many
classes of nodes would touch the memory of each, and a page touched after a fork is a page copied."""


class _NotPlainError(Exception):
    pass


def is_plain(tree: ast.Module) -> bool:
    """Whether `tree`, which `teacher.offence` has passed, is plain."""
    try:
        _Rules(tree).module(tree)
    except (_NotPlainError, RecursionError, MemoryError):
        return False
    return True


def holds_set(value: object) -> bool:
    """Whether there is a set somewhere in a literal's value."""
    kind = type(value)
    if kind is list or kind is tuple:
        return any(map(holds_set, value))  # type: ignore[call-overload]
    if kind is dict:
        return any(map(holds_set, value)) or any(map(holds_set, value.values()))  # type: ignore
    return kind is set or kind is frozenset


def _demand(condition: object) -> None:
    if not condition:
        raise _NotPlainError


class _Rules:
    """The rules for one program. Each method looks at a node in one role and raises if it may not
    play it: `data` (anything may happen to the value), `read` (its items are read out on the
    spot), `function` (it is called with data), `store`, `annotation`, `constant`."""

    def __init__(self, tree: ast.Module) -> None:
        self.functions: set[str] = set()
        self.errors: set[str] = set()  # names of caught errors: objects with an identity
        self.imported: dict[str, str] = {}
        self.depth = 0  # functions around the node that is looked at
        stored: set[str] = set()
        node: _Node
        for node in ast.walk(tree):
            kind = type(node)
            if kind is ast.Name:
                if type(node.ctx) is not ast.Load:
                    stored.add(node.id)
            elif kind is ast.arg:
                stored.add(node.arg)
            elif kind is ast.FunctionDef:
                self.functions.add(node.name)
            elif kind is ast.ExceptHandler:
                self.errors |= {node.name} if node.name else set()
            elif kind is ast.Import:
                for alias in node.names:
                    self.bind(alias.asname or alias.name, alias.name)
            elif kind is ast.ImportFrom:
                for alias in node.names:
                    self.bind(alias.asname or alias.name, f"{node.module}.{alias.name}")
        for names in (stored, self.functions, self.errors):
            _demand(_BUILTINS.isdisjoint(names) and self.imported.keys().isdisjoint(names))
        _demand(_BUILTINS.isdisjoint(self.imported))

    def bind(self, name: str, meaning: str) -> None:
        _demand(meaning.partition(".")[0] in _MODULES and "." not in name and name != "*")
        _demand(self.imported.setdefault(name, meaning) == meaning)

    # -- statements

    def module(self, tree: ast.Module) -> None:
        node: _Node
        for node in tree.body:
            kind = type(node)
            if kind is ast.Assign:
                for target in node.targets:
                    _demand(type(target) is ast.Name)
                self.constant(node.value)
            elif kind is ast.Expr:
                self.constant(node.value)
            else:
                _demand(kind in (ast.FunctionDef, ast.Import, ast.ImportFrom))
                self.data(node)

    def all(self, nodes: Iterable[_Node]) -> None:
        for node in nodes:
            if node is not None:
                self.data(node)

    def data(self, node: _Node) -> None:
        kind = type(node)
        if kind in _PARTS:  # what it is made of is data
            for field in _PARTS[kind]:
                part = getattr(node, field)
                if type(part) is list:
                    self.all(part)
                elif part is not None:
                    self.data(part)
        elif kind in _RULES:
            _RULES[kind](self, node)
        else:
            raise _NotPlainError

    def assign(self, node: _Node) -> None:
        unpacks = all(type(target) in (ast.Tuple, ast.List) for target in node.targets)
        (self.read if unpacks else self.data)(node.value)
        self.all(node.targets)

    def loop(self, node: _Node) -> None:
        self.data(node.target)
        self.read(node.iter)
        self.all(node.body)
        self.all(node.orelse)

    def comprehension(self, node: _Node) -> None:
        _demand(not node.is_async)
        self.data(node.target)
        self.read(node.iter)
        self.all(node.ifs)

    def definition(self, node: _Node) -> None:
        _demand(not node.decorator_list and not getattr(node, "type_params", None))
        self.parameters(node.args)
        self.annotation(node.returns)
        self.depth += 1
        self.all(node.body)
        self.depth -= 1

    def annotated(self, node: _Node) -> None:
        self.data(node.target)  # the annotation of a local variable is not evaluated
        self.all([node.value])

    def attempt(self, node: _Node) -> None:
        _demand(not node.finalbody)  # it also runs when memory is exhausted
        for part in (node.body, node.handlers, node.orelse):
            self.all(part)

    def handler(self, node: _Node) -> None:
        kinds = node.type.elts if type(node.type) is ast.Tuple else [node.type]
        _demand(all(type(k) is ast.Name and k.id in _CAUGHT for k in kinds))
        self.all(node.body)

    def accepted(self, node: _Node) -> None:
        """Looked at when names were collected."""

    def reraised(self, node: _Node) -> None:
        self.raised(node.exc)
        self.raised(node.cause)

    def parameters(self, node: _Node) -> None:
        for default in (*node.defaults, *node.kw_defaults):
            if default is not None:
                self.constant(default)
        for group in (node.posonlyargs, node.args, [node.vararg], node.kwonlyargs, [node.kwarg]):
            for argument in group:
                self.annotation(argument.annotation if argument else None)

    def constant(self, node: _Node) -> None:
        if isinstance(node, ast.Tuple):
            for item in node.elts:
                self.constant(item)
        elif isinstance(node, ast.UnaryOp):
            self.constant(node.operand)
        else:
            _demand(isinstance(node, ast.Constant))

    def annotation(self, node: _Node) -> None:
        """Evaluated, but seen by nobody. In a function each call does it, and there a subscript
        may add an entry to a dictionary."""
        allowed = _ANNOTATION_INSIDE if self.depth else _ANNOTATION
        for part in ast.walk(node) if node else ():
            _demand(isinstance(part, allowed))

    def raised(self, node: _Node) -> None:
        """Errors are made where they are raised, for they have an identity."""
        kind = type(node)
        if kind is ast.Name:
            _demand(node.id in _ERRORS or node.id in self.errors)
        elif kind is ast.Call:
            _demand(type(node.func) is ast.Name and node.func.id in _ERRORS and not node.keywords)
            self.all(node.args)
        else:
            _demand(node is None)

    # -- expressions

    def starred(self, node: _Node) -> None:
        self.read(node.value)

    def formatted(self, node: _Node) -> None:
        self.shown(node.value)
        self.all([node.format_spec])

    def attribute(self, node: _Node) -> None:
        _demand(type(node.ctx) is ast.Load and self.meaning(node) in _IMPORTED_DATA)

    def made(self, node: _Node) -> None:
        self.call(node, read=False)

    def name(self, node: _Node) -> None:
        """A variable; functions, builtins and caught errors are no data."""
        if type(node.ctx) is ast.Load:
            _demand(node.id not in self.functions and node.id not in self.errors)
            _demand(node.id not in _BUILTINS)
            _demand(node.id not in self.imported or self.imported[node.id] in _IMPORTED_DATA)

    def shown(self, node: _Node) -> None:
        """Its text is wanted: that of a caught error is data."""
        if not (isinstance(node, ast.Name) and node.id in self.errors):
            self.data(node)

    def compare(self, node: _Node) -> None:
        self.data(node.left)
        for operator, value in zip(node.ops, node.comparators, strict=True):
            if type(operator) in (ast.In, ast.NotIn):
                # Membership in a set written on the spot does not show its order.
                if type(value) is ast.Set:
                    self.all(value.elts)
                else:
                    self.read(value)
            elif type(operator) in (ast.Is, ast.IsNot):
                _demand(_is_none_or_bool(value))
            elif not _is_type(value):
                self.data(value)

    def read(self, node: _Node) -> None:
        kind = type(node)
        if kind is ast.GeneratorExp:
            self.data(node.elt)
            self.all(node.generators)
        elif kind is ast.Call:
            self.call(node, read=True)
        else:
            self.data(node)

    def function(self, node: _Node) -> None:
        """It is called with data and its value is data."""
        kind = type(node)
        if kind is ast.Lambda:
            self.parameters(node.args)
            self.data(node.body)
        elif kind is ast.Name and node.id in self.functions:
            pass
        elif kind is ast.Name:
            meaning = self.imported.get(node.id, node.id)
            _demand(meaning in _CALLED or meaning in _IMPORTED_CALLS)
            _demand(meaning not in _ITERATING)
        elif kind is ast.Attribute:
            meaning = self.method(node)
            _demand(meaning not in _ITERATING and meaning not in _ITERATING_METHODS)
        else:
            self.data(node)

    def meaning(self, node: _Node) -> str | None:
        """The full name of something in an imported module, or None."""
        name = node.value.id if type(node.value) is ast.Name else ""
        return f"{self.imported[name]}.{node.attr}" if name in self.imported else None

    def method(self, node: _Node) -> str:
        """The full name of something imported; a dot and the name, for a method of data."""
        meaning = self.meaning(node)
        if meaning is not None:
            _demand(meaning in _IMPORTED_CALLS)
            return meaning
        if node.attr == "format":
            _demand(type(node.value) is ast.Constant)  # `teacher` has looked at the template
            return ".format"
        _demand(node.attr in _METHODS and node.attr not in _NO_METHODS)
        if not _is_type(node.value):
            self.data(node.value)
        return f".{node.attr}"

    def call(self, node: _Node, *, read: bool) -> None:
        function = node.func
        if type(function) is ast.Name:
            # What is neither builtin nor imported is a function of the program, or a variable:
            # those hold data, and calling data raises, or makes data where it is a type.
            name = function.id
            is_ours = name not in _BUILTINS and name not in self.imported
            meaning = "" if is_ours else self.imported.get(name, name)
            _demand(is_ours or meaning in _CALLED or meaning in _IMPORTED_CALLS)
        else:
            _demand(type(function) is ast.Attribute)
            meaning = self.method(function)
            _demand(meaning not in _ITERATING_METHODS or read)
        _demand(meaning not in _ITERATING or read)
        self.arguments(node.args, meaning)
        for keyword in node.keywords:
            takes_key = keyword.arg == "key" and meaning in _TAKES_KEY
            (self.function if takes_key else self.data)(keyword.value)

    def arguments(self, given: list[_Node], meaning: str) -> None:
        if not given:
            return
        first, *rest = given
        if meaning in _READS_FIRST or (meaning in ("min", "max") and not rest):
            self.read(first)
            self.all(rest)
        elif meaning in _READS_ALL:
            for item in given:
                self.read(item)
        elif meaning in ("map", "filter"):
            self.function(first)
            for item in rest:
                self.read(item)
        elif meaning == "functools.reduce":
            self.function(first)
            for item in rest[:1]:
                self.read(item)
            self.all(rest[1:])
        elif meaning == "collections.defaultdict":
            _demand(_is_type(first))
            self.all(rest)
        elif meaning == "isinstance":
            self.data(first)
            for kind in rest:
                _demand(all(map(_is_type, kind.elts if type(kind) is ast.Tuple else [kind])))
        elif meaning in ("str", "repr", "print") and not rest:
            self.shown(first)
        else:
            self.all(given)


_PARTS = {
    ast.Expr: ["value"], ast.AugAssign: ["target", "value"], ast.Return: ["value"],
    ast.If: ["test", "body", "orelse"], ast.While: ["test", "body", "orelse"],
    ast.Pass: [], ast.Break: [], ast.Continue: [], ast.Constant: [],
    ast.Assert: ["test", "msg"], ast.Delete: ["targets"],
    ast.BoolOp: ["values"], ast.BinOp: ["left", "right"], ast.UnaryOp: ["operand"],
    ast.IfExp: ["test", "body", "orelse"], ast.Dict: ["keys", "values"],
    ast.List: ["elts"], ast.Tuple: ["elts"], ast.JoinedStr: ["values"],
    ast.Subscript: ["value", "slice"], ast.Slice: ["lower", "upper", "step"],
    ast.NamedExpr: ["target", "value"],
    ast.ListComp: ["elt", "generators"], ast.DictComp: ["key", "value", "generators"],
}  # fmt: skip
_RULES: dict[type, Callable[[_Rules, Any], None]] = {
    ast.FunctionDef: _Rules.definition,
    ast.Import: _Rules.accepted,
    ast.ImportFrom: _Rules.accepted,
    ast.Assign: _Rules.assign,
    ast.AnnAssign: _Rules.annotated,
    ast.For: _Rules.loop,
    ast.Raise: _Rules.reraised,
    ast.Try: _Rules.attempt,
    ast.ExceptHandler: _Rules.handler,
    ast.Name: _Rules.name,
    ast.Attribute: _Rules.attribute,
    ast.Call: _Rules.made,
    ast.Compare: _Rules.compare,
    ast.Starred: _Rules.starred,
    ast.FormattedValue: _Rules.formatted,
    ast.comprehension: _Rules.comprehension,
}


def _is_none_or_bool(node: _Node) -> bool:
    return isinstance(node, ast.Constant) and (node.value is None or type(node.value) is bool)


def _is_type(node: _Node) -> bool:
    return isinstance(node, ast.Name) and node.id in _TYPES
