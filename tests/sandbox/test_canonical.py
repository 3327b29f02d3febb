"""Encoding and parsing: what goes in comes out, and nothing but literals goes in."""

import ast
import collections
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_rl.sandbox.canonical import (
    LiteralError,
    encode,
    literal,
    parse_arguments,
    parse_literal,
    same,
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.binary()
    | st.floats()
    | st.complex_numbers(allow_nan=False, allow_infinity=False)
)
hashables = st.recursive(
    scalars.filter(lambda v: v == v), lambda s: st.tuples(s, s) | st.frozensets(s, max_size=3)
)
values = st.recursive(
    scalars,
    lambda s: (
        st.lists(s, max_size=4)
        | st.tuples(s, s)
        | st.dictionaries(hashables, s, max_size=3)
        | st.sets(hashables, max_size=3)
    ),
    max_leaves=12,
)


@given(values)
def test_text_of_a_value_parses_back_to_it(value):
    data = encode(value)
    assert literal(data) == data.decode()
    assert same(encode(parse_literal(data.decode())), data)
    assert type(parse_literal(data.decode())) is type(value)


@pytest.mark.parametrize(
    "text",
    [r"'\777\400\377\8'", r"b'\777\400\377\8'", "'''a\r\nb\rc\n'''", "[1,\r2]", "'\\\r\na'"],
)
def test_octal_digits_and_ends_of_lines_are_those_of_python(text):
    assert parse_literal(text) == ast.literal_eval(text)


@given(st.text(alphabet="[](){},:'\"\\+-.01eExjbrTrue#\n Nonsetfloat", max_size=30))
def test_agrees_with_python_on_what_it_reads(text):
    try:
        value = parse_literal(text)
    except LiteralError:
        return
    try:
        expected = ast.literal_eval(text.strip(" \n"))
    except (ValueError, SyntaxError):
        assert any(word in text for word in ("set", "float", "inf", "nan", "\n", "#"))
        return
    assert same(encode(value), encode(expected))


@given(st.text(max_size=60))
def test_any_text_gives_a_value_or_a_literal_error(text):
    for parse in (parse_literal, parse_arguments):
        try:
            value = parse(text)
        except LiteralError:
            continue
        assert encode(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[3, 1], 2", ([3, 1], 2)),
        ("", ()),
        ("1,", (1,)),
        ("'a' \"b\"", ("ab",)),
        ("[1,\n2]", ([1, 2],)),
        ("{1: (), 'x': {2}}, -1.5e3", ({1: (), "x": {2}}, -1500.0)),
        (
            "b'\\xff', r'\\n', '''a\n'b''', '\\u00e9\\N{BULLET}\\101'",
            (b"\xff", "\\n", "a\n'b", "\u00e9\u2022A"),
        ),
        ("1_000, 0x_ff, 0b11, 00, 1-2j, set()", (1000, 255, 3, 0, 1 - 2j, set())),
        ("float('inf'), -inf", (math.inf, -math.inf)),
    ],
)
def test_reads_arguments(text, value):
    assert parse_arguments(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "1) or (8", "f(1)", "[x for x in ()]", "x", "1 + 1", "__import__('os')", "lambda: 0",
        "a.b", "f'{1}'", "*[1]", "x=1", "'abc", "[1", "1]", "{[]: 1}", "{1: 2, 3}", "007", "1.e",
        "'\\x1'", "b'\u00e9'", "1 2", "- -1", "not 1", "(yield)", "1if 1else 2", "b'a' 'b'", "[,]",
        "[" * 300 + "]" * 300, "9" * 5000, "1j + 1j", "1 < 2", "float('1')", "set(1)", "'a'[0]",
        "'\\N{\udc87}'", "'\\N{no such name}'",
    ],
)  # fmt: skip
def test_refuses_whatever_is_not_a_literal(text):
    with pytest.raises(LiteralError):
        parse_literal(text)
    if text:
        with pytest.raises(LiteralError):
            parse_arguments(text + ", 1")


def test_a_million_brackets_cost_nothing():
    for text in ("[" * 10**6, "-" * 10**6, "(" * 10**6 + ")" * 10**6, "'a'" * 10**5 + "["):
        with pytest.raises(LiteralError):
            parse_literal(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": (2.0, True)}, "{'a': (2.0, True), 'b': 1}"),
        ({10, 9}, "{9, 10}"),
        (set(), "set()"),
        (collections.Counter("aab"), "{'a': 2, 'b': 1}"),
        (collections.defaultdict(int, x=1), "{'x': 1}"),
        (collections.deque("aab"), "['a', 'a', 'b']"),
        (collections.namedtuple("P", "x y")(1, 2), "(1, 2)"),
        (bytearray(b"x"), "b'x'"),
        ([math.inf, math.nan, -0.0], "[float('inf'), float('nan'), -0.0]"),
        ("\ud800", "'\\ud800'"),
        (10**5000, hex(10**5000)),
        ([10**5000], f"[{hex(10**5000)}]"),
    ],
    ids=lambda _: "",
)
def test_canonical_text(value, text):
    assert encode(value).decode() == text


@pytest.mark.parametrize("value", [object(), len, print, (i for i in ()), range(3), complex("nan")])
def test_has_no_canonical_form(value):
    with pytest.raises(LiteralError):
        encode([value])


def test_depth_and_cycles_are_refused():
    deep: list = []
    for _ in range(10**5):
        deep = [deep]
    cycle: list = []
    cycle.append(cycle)
    for value in (deep, cycle):
        with pytest.raises(LiteralError):
            encode(value)
    while deep:
        deep = deep.pop()


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (1, True, True), (1.0, 1, True), ([math.nan], [math.nan], True), (math.nan, math.nan, True),
        ({1: "a"}, {1.0: "a"}, True), ({1, 2}, frozenset({2, 1}), True), ((1,), [1], False),
        ("1", 1, False), (b"a", "a", False), (0.1 + 0.2, 0.3, False), ([1, 2], [2, 1], False),
    ],
)  # fmt: skip
def test_same(left, right, equal):
    assert same(encode(left), encode(right)) is equal


@pytest.mark.parametrize("data", [b"[1,2]", b"{2, 1}", b"1 ", b"\xff", b"x", b"(1)", b"0x1"])
def test_only_canonical_bytes_become_text(data):
    with pytest.raises(LiteralError):
        literal(data)
