"""The predicate language: what is read, how it binds, and where an error is said to be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.records.predicates.syntax import (
    MAX_CHARACTERS,
    MAX_COMPARISONS,
    MAX_DEPTH,
    MAX_LITERALS,
    All,
    Comparison,
    Either,
    PredicateError,
    Tree,
    parse,
)


def one(text: str) -> Comparison:
    tree = parse(text)
    assert isinstance(tree, Comparison)
    return tree


def told(tree: Tree) -> str:
    """A tree with all its parentheses."""
    match tree:
        case Comparison(field):
            return field.name
        case All(terms):
            return "(" + " & ".join(map(told, terms)) + ")"
        case Either(terms):
            return "(" + " | ".join(map(told, terms)) + ")"


@pytest.mark.parametrize(
    ("text", "name", "path"),
    [
        ("status == 1", "status", ()),
        ("`status` == 1", "status", ()),
        ("request_body.messages.0.role == 1", "request_body", ("messages", 0, "role")),
        ("request_body.messages.-1.role == 1", "request_body", ("messages", -1, "role")),
        ("request_body.messages.-3.14.role == 1", "request_body", ("messages", -3, 14, "role")),
        ("response_header.msh-request-id == 1", "response_header", ("msh-request-id",)),
        ("request_body.`a.b c`.d == 1", "request_body", ("a.b c", "d")),
        ("trueish == 1", "trueish", ()),
    ],
)
def test_a_field_is_a_name_and_a_path_below_it(text: str, name: str, path: tuple[str | int, ...]) -> None:
    field = one(text).field

    assert (field.name, field.path) == (name, path)


@pytest.mark.parametrize("operator", ["==", "!=", ">", ">=", "<", "<="])
@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("'a'", "a"),
        ('"a"', "a"),
        ("'it\\'s'", "it's"),
        ('"a\\d+\\."', "a\\d+\\."),
        ("'say \"hi\"'", 'say "hi"'),
        ("''", ""),
        ("200", 200),
        ("-1", -1),
        ("200.00", 200.0),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
    ],
)
def test_a_literal_is_a_text_a_number_or_a_constant(operator: str, text: str, literal: object) -> None:
    comparison = one(f"a{operator}{text}")

    assert (comparison.operator, comparison.literal, type(comparison.literal)) == (operator, literal, type(literal))


def test_null_is_equal_or_is_not() -> None:
    assert (one("a == null").literal, one("a != NULL").literal) == (None, None)


@pytest.mark.parametrize("operator", ["~", "!~", "%", "!%"])
def test_patterns_are_texts(operator: str) -> None:
    assert one(f"a {operator} '^b.*'").literal == "^b.*"


@pytest.mark.parametrize("operator", ["@", "!@"])
def test_a_list_holds_literals_of_any_kind(operator: str) -> None:
    assert one(f"a {operator} [400, '403', 1.5, false]").literal == (400, "403", 1.5, False)


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("a == 1 && b == 1 || c == 1 && d == 1", "((a & b) | (c & d))"),
        ("a == 1 || b == 1 && c == 1", "(a | (b & c))"),
        ("(a == 1 || b == 1) && c == 1", "((a | b) & c)"),
        ("a == 1 && b == 1 && c == 1", "(a & b & c)"),
        ("((a == 1))", "a"),
        ("\n a == 'x' && \n\t ( b ~ 'y*' ) ", "(a & b)"),
    ],
)
def test_and_binds_closer_than_or(text: str, bound: str) -> None:
    assert told(parse(text)) == bound


@pytest.mark.parametrize(
    ("text", "at", "problem"),
    [
        ("", 0, "expected a field"),
        ("a = 200", 2, "write =="),
        ("a == 1 & b == 1", 7, "write &&"),
        ("a == 1 | b == 1", 7, "write ||"),
        ("a ! 1", 2, "write !="),
        ("a == 1 # b", 7, "'#' has no meaning"),
        ("3.14.role == 'user'", 0, "begins with a letter"),
        ("-x == 1", 0, "begins with a letter"),
        ("null == 1", 0, "expected a field"),
        ("200 == a", 0, "expected a field"),
        ("a 200", 2, "expected an operator"),
        ("a == kimi", 5, "'kimi'"),
        ("a ==", 4, "expected a literal"),
        ("a ~ 200", 4, "'200'"),
        ("a % true", 4, "takes a text"),
        ("a ~ null", 4, "takes a text"),
        ("a > null", 4, "== and != only"),
        ("a @ (400, 401)", 4, "takes a list"),
        ("a @ []", 5, "expected a literal"),
        ("a @ [401, null]", 10, "== and != only"),
        ("a @ [401 402]", 9, "expected , or ]"),
        ("a ~ 'pytest''", 12, "no closing '"),
        ('a == "open', 5, 'no closing "'),
        ("a == 1 b == 2", 7, "expected &&, || or the end"),
        ("(a == 1", 7, "expected &&, || or )"),
        ("a == 1)", 6, "expected &&, || or the end"),
        ("a == 1 &&", 9, "expected a field"),
    ],
)
def test_an_error_points_at_its_place_and_says_what_would_be_right(text: str, at: int, problem: str) -> None:
    with pytest.raises(PredicateError) as raised:
        parse(text)

    assert raised.value.at == at
    assert problem in raised.value.problem


def test_an_error_shows_the_line_and_marks_the_place() -> None:
    with pytest.raises(PredicateError) as raised:
        parse("a == 1 &&\n  b = 2")

    assert str(raised.value) == "write == for equality\n    b = 2\n      ^"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a == '" + "x" * MAX_CHARACTERS + "'", "characters"),
        ("(" * (MAX_DEPTH + 1) + "a == 1", "parentheses"),
        (" && ".join(["a == 1"] * (MAX_COMPARISONS + 1)), "comparisons"),
        (f"a @ [{', '.join(['1'] * (MAX_LITERALS + 1))}]", "a list of"),
    ],
)
def test_nothing_in_a_predicate_is_without_bounds(text: str, problem: str) -> None:
    with pytest.raises(PredicateError, match=problem):
        parse(text)


PIECES = [
    "a",
    "b.c",
    "==",
    "!=",
    "~",
    "@",
    "[",
    "]",
    ",",
    "(",
    ")",
    "&&",
    "||",
    "1",
    "-2.5",
    "'x'",
    "null",
    "`",
    "!",
    "\n",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join) | st.text(max_size=40))
def test_whatever_is_written_is_read_or_refused_at_a_place_within_it(text: str) -> None:
    place = 0
    try:
        parse(text)
    except PredicateError as error:
        place = error.at

    assert 0 <= place <= len(text)


names = st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True).filter(
    lambda name: name not in ("true", "false", "null")
)


@st.composite
def written(draw: st.DrawFn, depth: int = 3) -> str:
    if depth == 0 or draw(st.booleans()):
        return f"{draw(names)} == {draw(st.integers(-9, 9))}"
    by = draw(st.sampled_from([" && ", " || "]))
    return by.join(f"({draw(written(depth=depth - 1))})" for _ in range(draw(st.integers(1, 3))))


@given(written())
def test_parentheses_around_everything_change_nothing(text: str) -> None:
    assert told(parse(f"({text})")) == told(parse(text))
