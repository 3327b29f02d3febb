"""A parser that reads Python literals and nothing else.

Written out by hand: it cannot call, index, look up a name or recurse without bound, so a trusted
process may read with it what a model or a program wrote.
"""

import re
import unicodedata
from typing import Any

MAX_DEPTH = 200
MAX_TEXT = 4 << 20
MAX_KEYS = 20_000  # entries of one set or dict, and how many of them may collide: together they
MAX_EQUAL_HASHES = 500  # bound what keys chosen to have one hash can cost
NAN = float("nan")
INF = float("inf")


class LiteralError(ValueError):
    """A text that is not a literal, or a value that has none."""


_DIGITS = r"[0-9](?:_?[0-9])*"
_TOKEN = re.compile(
    rf"""(?:[ \t\r\n\f]++|\\\r?\n|\#[^\n]*+)*+(?:  # possessive: a blank is read in one way only
    (?P<number>0[xX](?:_?[0-9a-fA-F])+ | 0[oO](?:_?[0-7])+ | 0[bB](?:_?[01])+
      | (?:{_DIGITS}\.(?:{_DIGITS})?|\.{_DIGITS}|{_DIGITS})(?:[eE][+-]?{_DIGITS})?[jJ]?)(?![\w.])
    | (?P<string>[rRbBuU]{{0,2}}(?:
        '''[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*''' | \"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*\"""
        | '(?!'')[^'\\\n]*(?:\\.[^'\\\n]*)*' | "(?!"")[^"\\\n]*(?:\\.[^"\\\n]*)*"))
    | (?P<name>[A-Za-z]+)(?!\w) | (?P<op>[][(){{}},:+-]) | (?P<end>\Z))""",
    re.VERBOSE | re.DOTALL,
)
_NAMES = {"True": True, "False": False, "None": None, "inf": INF, "nan": NAN}
_SPECIAL = {"inf": INF, "+inf": INF, "-inf": -INF, "nan": NAN, "+nan": NAN, "-nan": NAN}
_SPECIAL |= {"infinity": INF, "-infinity": -INF}


def parse_literal(text: str) -> Any:
    """The value of one Python literal; LiteralError for anything else.

    Also reads `set()`, `frozenset(...)`, `float('inf')`, `inf` and `nan`.
    """
    parser = _Parser(text)
    value = parser.value(0)
    parser.expect_end()
    return value


def parse_arguments(text: str) -> tuple[Any, ...]:
    """The arguments written in `text`, as they would stand between the parentheses of a call.

    Example::

        parse_arguments("[3, 1], 2")   # ([3, 1], 2)
    """
    parser = _Parser(text)
    values = []
    while parser.kind != "end":
        values.append(parser.value(0))
        if parser.kind == "end":
            break
        parser.expect(",")
    return tuple(values)


class _Parser:
    """A recursive-descent parser over regular-expression tokens, one token of lookahead."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEXT:
            raise LiteralError(f"longer than {MAX_TEXT} characters")
        # Python reads every end of line as a line feed.
        self.text = text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
        self.position = 0
        self.advance()

    def advance(self) -> None:
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            raise LiteralError(f"not a literal at position {self.position}")
        self.kind = match.lastgroup
        self.token = match[match.lastgroup]  # type: ignore[index]
        self.position = match.end()

    def take(self, token: str) -> bool:
        if self.kind == "op" and self.token == token:
            self.advance()
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise LiteralError(f"expected {token!r} before position {self.position}")

    def expect_end(self) -> None:
        if self.kind != "end":
            raise LiteralError(f"text after the literal, before position {self.position}")

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise LiteralError(f"nested deeper than {MAX_DEPTH}")
        kind, token = self.kind, self.token
        if kind == "number":
            self.advance()
            return self.imaginary_part(_number(token))
        if kind == "string":
            return self.strings()
        if kind == "op":
            if token == "[":
                self.advance()
                return self.items("]", depth)
            if token == "(":
                return self.parenthesised(depth)
            if token == "{":
                return self.braces(depth)
            if token in "+-":
                return self.signed()
        elif kind == "name":
            return self.named(depth)
        raise LiteralError(f"not a literal before position {self.position}")

    def items(self, close: str, depth: int) -> list[Any]:
        values: list[Any] = []
        while not self.take(close):
            values.append(self.value(depth + 1))
            if not self.take(","):
                self.expect(close)
                break
        return values

    def parenthesised(self, depth: int) -> Any:
        self.advance()
        if self.take(")"):
            return ()
        first = self.value(depth + 1)
        if self.take(")"):
            return self.imaginary_part(first) if type(first) in (int, float) else first
        self.expect(",")
        return (first, *self.items(")", depth))

    def braces(self, depth: int) -> Any:
        self.advance()
        if self.take("}"):
            return {}
        first = self.value(depth + 1)
        if not self.take(":"):
            if self.take(","):
                return _hashed(set, [first, *self.items("}", depth)])
            self.expect("}")
            return _hashed(set, [first])
        pairs = [(first, self.value(depth + 1))]
        while self.take(","):
            if self.kind == "op" and self.token == "}":
                break
            key = self.value(depth + 1)
            self.expect(":")
            pairs.append((key, self.value(depth + 1)))
        self.expect("}")
        return _hashed(dict, pairs)

    def signed(self) -> Any:
        """One sign, as a number may have; `- -1` is arithmetic, not a literal."""
        negative = self.token == "-"
        self.advance()
        if self.kind == "number":
            number = _number(self.token)
            self.advance()
            return self.imaginary_part(-number if negative else number)
        if self.kind == "name" and self.token in ("inf", "nan", "float"):
            number = self.named(0)
            return number if number is NAN else -number if negative else number
        raise LiteralError(f"expected a number before position {self.position}")

    def imaginary_part(self, real: Any) -> Any:
        if self.kind != "op" or self.token not in "+-" or type(real) is complex:
            return real
        negative = self.token == "-"
        self.advance()
        number = _number(self.token) if self.kind == "number" else None
        if type(number) is not complex:
            raise LiteralError(f"arithmetic before position {self.position}")
        self.advance()
        try:
            return real - number if negative else real + number
        except OverflowError as error:
            raise LiteralError("number out of range") from error

    def named(self, depth: int) -> Any:
        name = self.token
        if name in _NAMES:
            self.advance()
            return _NAMES[name]
        if name not in ("set", "frozenset", "float"):
            raise LiteralError(f"the name {name[:40]!r} is not a literal")
        self.advance()
        self.expect("(")
        if name == "float":
            number = _SPECIAL.get(self.token[1:-1].lower()) if self.kind == "string" else None
            if number is None:
                raise LiteralError("float(...) takes 'inf', '-inf' or 'nan'")
            self.advance()
            self.expect(")")
            return number
        if self.take(")"):
            return set() if name == "set" else frozenset()
        inner = self.value(depth + 1)
        self.expect(")")
        if type(inner) not in (list, tuple, set, frozenset):
            raise LiteralError(f"{name}(...) takes a collection")
        return _hashed(set if name == "set" else frozenset, inner)

    def strings(self) -> Any:
        """One string, or several side by side, all text or all bytes."""
        value = _string(self.token)
        self.advance()
        if self.kind != "string":
            return value
        parts: list[Any] = [value]
        while self.kind == "string":
            parts.append(_string(self.token))
            self.advance()
        if len(set(map(type, parts))) != 1:
            raise LiteralError("bytes and text side by side")
        return type(value)().join(parts)


def _hashed(kind: type, items: Any) -> Any:
    if len(items) > MAX_KEYS:
        raise LiteralError(f"more than {MAX_KEYS} keys")
    try:
        if len(items) > MAX_EQUAL_HASHES:
            keys = [key for key, _ in items] if kind is dict else items
            if len(keys) - len(set(map(hash, keys))) > MAX_EQUAL_HASHES:
                raise LiteralError("too many keys with equal hashes")
        return kind(items)
    except TypeError as error:
        raise LiteralError("a set or dict holds an unhashable key") from error


def _number(token: str) -> Any:
    try:
        if token[-1] in "jJ" and token[:2] not in ("0x", "0X"):
            return complex(token.replace("_", "").lower())
        if len(token) > 1 and token[1] in "xXoObB":
            return int(token, 0)
        if token.isdecimal() or ("_" in token and token.replace("_", "").isdecimal()):
            if token[0] == "0" and token.strip("0_"):
                raise LiteralError("a decimal number with a leading zero")
            return int(token)
        return float(token)
    except (ValueError, OverflowError) as error:
        raise LiteralError("a number with too many digits; write it in hexadecimal") from error


_ESCAPE = re.compile(
    r"\\(\r?\n|[0-7]{1,3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[^}]*\}|.)", re.DOTALL
)
_SIMPLE = {"\\": "\\", "'": "'", '"': '"', "a": "\a", "b": "\b", "f": "\f", "n": "\n"}
_SIMPLE |= {"r": "\r", "t": "\t", "v": "\v", "\n": "", "\r\n": ""}


def _string(token: str) -> str | bytes:
    if token[0] == "'" and "\\" not in token and token[1:2] != "'":
        return token[1:-1]
    body = token.lstrip("rRbBuU")
    prefix = token[: len(token) - len(body)].lower()
    if prefix not in ("", "r", "b", "u", "rb", "br"):
        raise LiteralError(f"unknown string prefix {prefix}")
    width = 3 if body[:3] in ("'''", '"""') else 1
    body = body[width:-width]
    if "b" not in prefix:
        return body if "r" in prefix else _ESCAPE.sub(_unescape_text, body)
    if not body.isascii():
        raise LiteralError("bytes hold a character that is not ASCII")
    text = body if "r" in prefix else _ESCAPE.sub(_unescape_bytes, body)
    return text.encode("latin-1")


def _unescape_bytes(match: re.Match[str]) -> str:
    kind = match[1][0]
    if kind in "uUN":
        return match[0]
    text = _unescape_text(match)
    return chr(ord(text) & 0xFF) if kind in "01234567" else text


def _unescape_text(match: re.Match[str]) -> str:
    code = match[1]
    if code in _SIMPLE:
        return _SIMPLE[code]
    if code[0] in "01234567":
        return chr(int(code, 8))
    if code[0] in "xuU" and len(code) > 1:
        number = int(code[1:], 16)
        if number > 0x10FFFF:
            raise LiteralError("a character out of range")
        return chr(number)
    if code[0] == "N" and len(code) > 1:
        try:
            return unicodedata.lookup(code[2:-1])
        except (KeyError, UnicodeEncodeError) as error:  # the latter for a lone surrogate
            raise LiteralError("an unknown character name") from error
    if code[0] in "xuUN":
        raise LiteralError("a cut-off escape")
    return match[0]
