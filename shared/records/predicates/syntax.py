"""The predicate language: text to a tree, with the place of everything, so that an error can point at it.

    predicate  = conjunction { "||" conjunction }
    conjunction = term { "&&" term }
    term       = "(" predicate ")" | comparison
    comparison = field operator literal | field ("@" | "!@") "[" literal { "," literal } "]"
    field      = name { "." step }
    step       = name | place | "`" anything "`"      a place is a number; one below zero counts from the end
    operator   = "==" | "!=" | ">" | ">=" | "<" | "<=" | "~" | "!~" | "%" | "!%"
    literal    = 'text' | "text" | number | true | false | null

`~` is LIKE: what it is given stands anywhere, unless it begins or ends with `*`; case doesn't matter. `%` is a regular
expression. `&&` binds closer than `||`. In a text a backslash stands for itself, except before the closing quote.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

MAX_CHARACTERS = 20_000  # of one predicate
MAX_DEPTH = 50  # parentheses within parentheses
MAX_LITERALS = 1_000  # of one list; every one becomes a parameter of a statement
MAX_COMPARISONS = 200  # SQLite's expressions may be 1,000 deep

LISTS = ("@", "!@")
TEXTUAL = ("~", "!~", "%", "!%")
EQUALITIES = ("==", "!=")
OPERATORS = ("==", "!=", ">", ">=", "<", "<=", *TEXTUAL, *LISTS)
NEGATIVE = ("!=", "!~", "!%", "!@")

Literal: TypeAlias = str | int | float | bool | None


class PredicateError(ValueError):
    """What is wrong with a predicate, and where; the text shows the place."""

    def __init__(self, text: str, at: int, problem: str) -> None:
        line = text[text.rfind("\n", 0, at) + 1 :].partition("\n")[0]
        column = at - (text.rfind("\n", 0, at) + 1)
        super().__init__(f"{problem}\n  {line}\n  {' ' * column}^")
        self.at = at
        self.problem = problem


@dataclass(frozen=True)
class Field:
    name: str
    path: tuple[str | int, ...]
    at: int  # where it stands in the text


@dataclass(frozen=True)
class Comparison:
    field: Field
    operator: str
    literal: Literal | tuple[Literal, ...]  # a tuple with LISTS only
    at: int  # of the literal


@dataclass(frozen=True)
class All:
    terms: tuple[Tree, ...]


@dataclass(frozen=True)
class Either:
    terms: tuple[Tree, ...]


Tree: TypeAlias = Comparison | All | Either

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<string>'(?:\\'|[^'])*' | "(?:\\"|[^"])*")
    | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<field>(?:[A-Za-z_]\w*|`[^`]+`)(?:\.(?:-?\d+(?![\w-])|[A-Za-z_][\w-]*|`[^`]+`))*)
    | (?P<operator>==|!=|>=|<=|!~|!%|!@|>|<|~|%|@)
    | (?P<logic>&&|\|\|)
    | (?P<mark>[()\[\],])
    """,
    re.VERBOSE | re.ASCII,
)
_STEP = re.compile(r"`([^`]+)`|([^.`]+)")
_CONSTANTS: dict[str, Literal] = {"true": True, "false": False, "null": None}
_HINTS = {"=": "write == for equality", "&": "write &&", "|": "write ||", "!": "write !=, !~, !% or !@"}
_LITERAL = "a literal: 'text', a number, true, false or null"


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


def parse(text: str) -> Tree:
    """The tree of a predicate; raises PredicateError."""
    if len(text) > MAX_CHARACTERS:
        raise PredicateError(text[:80], 0, f"a predicate of {len(text)} characters; the longest has {MAX_CHARACTERS}")
    return _Parser(text).whole()


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise PredicateError(text, at, _strange(text, at))
        if found.lastgroup != "space":
            tokens.append(_Token(str(found.lastgroup), found[0], at))
        at = found.end()
    return [*tokens, _Token("end", "", len(text))]


def _strange(text: str, at: int) -> str:
    if text[at] in "'\"":
        return f"the text that begins here has no closing {text[at]}"
    if text[at].isdigit() or text[at] == "-":
        return "no number and no field: a field begins with a letter"
    return _HINTS.get(text[at], f"{text[at]!r} has no meaning here")


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0
        self._comparisons = 0

    def whole(self) -> Tree:
        tree = self._either()
        if self._token.kind != "end":
            raise self._error("expected &&, || or the end")
        return tree

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._token
        self._next += 1
        return token

    def _error(self, problem: str, at: int | None = None) -> PredicateError:
        return PredicateError(self._text, self._token.at if at is None else at, problem)

    def _is(self, text: str) -> bool:
        return self._token.text == text and self._token.kind in ("logic", "mark")

    def _either(self) -> Tree:
        return self._joined("||", lambda: self._joined("&&", self._term, All), Either)

    def _joined(self, by: str, read: Callable[[], Tree], kind: type[All] | type[Either]) -> Tree:
        terms = [read()]
        while self._is(by):
            self._take()
            terms.append(read())
        return terms[0] if len(terms) == 1 else kind(tuple(terms))

    def _term(self) -> Tree:
        if not self._is("("):
            return self._comparison()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"more than {MAX_DEPTH} parentheses within each other")
        self._take()
        inner = self._either()
        if not self._is(")"):
            raise self._error("expected &&, || or )")
        self._take()
        self._depth -= 1
        return inner

    def _comparison(self) -> Comparison:
        self._comparisons += 1
        if self._comparisons > MAX_COMPARISONS:
            raise self._error(f"more than {MAX_COMPARISONS} comparisons")
        field = self._field()
        if self._token.kind != "operator":
            raise self._error(f"expected an operator: {' '.join(OPERATORS)}")
        operator, at = self._take().text, self._token.at
        if operator in LISTS:
            return Comparison(field, operator, self._list(operator), at)
        return Comparison(field, operator, self._literal_for(operator), at)

    def _field(self) -> Field:
        token = self._token
        if token.kind != "field" or token.text.lower() in _CONSTANTS:
            raise self._error("expected a field, such as status or request_body.model")
        self._take()
        name, *path = [_step(found) for found in _STEP.finditer(token.text)]
        return Field(str(name), tuple(path), token.at)

    def _literal_for(self, operator: str) -> Literal:
        token = self._token
        if operator in TEXTUAL and token.kind in ("string", "number"):
            if token.kind != "string":
                raise self._error(f"{operator} takes a text: '{token.text}'")
            return self._literal()
        literal = self._literal()
        if operator in TEXTUAL:
            raise self._error(f"{operator} takes a text: 'one like this'", token.at)
        if literal is None and operator not in EQUALITIES:
            raise self._error("null goes with == and != only", token.at)
        return literal

    def _literal(self) -> Literal:
        token = self._token
        if token.kind == "string":
            quote = token.text[0]
            value: Literal = token.text[1:-1].replace("\\" + quote, quote)
        elif token.kind == "number":
            value = float(token.text) if set(token.text) & set(".eE") else int(token.text)
        elif token.kind == "field" and token.text.lower() in _CONSTANTS:
            value = _CONSTANTS[token.text.lower()]
        else:
            hint = f"; a text stands in quotes: '{token.text}'" if token.kind == "field" else ""
            raise self._error(f"expected {_LITERAL}{hint}")
        self._take()
        return value

    def _list(self, operator: str) -> tuple[Literal, ...]:
        if not self._is("["):
            raise self._error(f"{operator} takes a list: ['one', 'two']")
        values: list[Literal] = []
        while not values or self._is(","):
            self._take()
            token = self._token
            values.append(self._literal())
            if values[-1] is None:
                raise self._error("null goes with == and != only", token.at)
        if not self._is("]"):
            raise self._error("expected , or ]")
        if len(values) > MAX_LITERALS:
            raise self._error(f"a list of {len(values)}; the longest has {MAX_LITERALS}")
        self._take()
        return tuple(values)


def _step(found: re.Match[str]) -> str | int:
    quoted, plain = found.groups()
    if quoted is not None:
        return str(quoted)
    return int(plain) if plain.lstrip("-").isdigit() else str(plain)
