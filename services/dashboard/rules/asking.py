"""A query string as a filter of the records: the options of `moontide list`, by the same names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.records.moments import moment
from shared.records.predicates import Predicate, PredicateError, predicate
from shared.records.queries import Filter
from shared.records.search import terms

TEXTS = ("model", "provider", "client", "tool", "repair", "named")
CHOICES = {"state": ("live", "done", "abandoned"), "category": ("good", "bad")}
FLAGS = ("errors", "chat_only")
TIMES = ("since", "until")
OTHER = ("status", "tag", "search", "p", "outcome", "before", "limit")
LONGEST = 4000  # characters of a value
MOST_ROWS = 500
ROWS = 100

Query = Mapping[str, Sequence[str]]


class Unclear(ValueError):
    """What is asked for can't be meant: `field` names it."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


@dataclass(frozen=True)
class Page:
    """A stretch of the list: what is older than `before`, so many of it."""

    which: Filter
    before: int | None
    limit: int


def page_of(query: Query, now: float) -> Page:
    """Raises Unclear."""
    limit = _whole(query, "limit") or ROWS
    return Page(filter_of(query, now), _whole(query, "before"), max(1, min(limit, MOST_ROWS)))


def filter_of(query: Query, now: float) -> Filter:
    """Raises Unclear; a name that is not known is an error too, so that a misspelt filter never shows everything."""
    known = (*TEXTS, *CHOICES, *FLAGS, *TIMES, *OTHER)
    for name, values in query.items():
        if name not in known:
            raise Unclear(name, f"no filter is called {name!r}; there are {', '.join(known)}")
        if any(len(value) > LONGEST or "\x00" in value for value in values):
            raise Unclear(name, f"a text of at most {LONGEST} characters")
    given: dict[str, Any] = {name: _one(query, name) for name in TEXTS}
    given |= {name: _choice(query, name, values) for name, values in CHOICES.items()}
    given |= {name: _one(query, name) not in (None, "0", "false") for name in FLAGS}
    given |= {name: _moment(query, name, now) for name in TIMES}
    tags = tuple(tag for tag in query.get("tag", ()) if tag.strip())
    return Filter(
        **given, tags=tags, status=_whole(query, "status"), search=_words(query), predicate=_predicate(query, now)
    )


def _one(query: Query, name: str) -> str | None:
    return next((value.strip() for value in query.get(name, ()) if value.strip()), None)


def _whole(query: Query, name: str) -> int | None:
    text = _one(query, name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise Unclear(name, f"{name} is a whole number")
    return int(text)


def _choice(query: Query, name: str, values: Sequence[str]) -> str | None:
    text = _one(query, name)
    if text is not None and text not in values:
        raise Unclear(name, f"{name} is one of {', '.join(values)}")
    return text


def _moment(query: Query, name: str, now: float) -> float | None:
    text = _one(query, name)
    try:
        return moment(text, now) if text is not None else None
    except (ValueError, OverflowError, OSError) as error:
        raise Unclear(name, str(error)) from None


def _words(query: Query) -> str | None:
    text = _one(query, "search")
    if text is not None and not terms(text):
        raise Unclear("search", f"there is no word in {text!r}")
    return text


def _predicate(query: Query, now: float) -> Predicate | None:
    texts = [*_outcomes(query), *(text for text in query.get("p", ()) if text.strip())]
    try:
        return predicate(*texts, now=now) if texts else None
    except PredicateError as error:
        raise Unclear("p", str(error)) from None


def _outcomes(query: Query) -> Iterator[str]:
    outcome = _one(query, "outcome")
    if outcome is not None:
        if not outcome.isalpha():
            raise Unclear("outcome", "outcome is a word: complete, stopped, truncated, broken, refused …")
        yield f"outcome == '{outcome}'"
