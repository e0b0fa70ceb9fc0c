"""Full-text search over `said`: how text is kept for it, and how a question becomes a condition.

Chinese and its neighbours write without spaces, so an index of words would know whole sentences only. Between their
characters stands U+200B, which is no part of a word and which nobody sees: each character is a word, and what is asked
for is a phrase. A search for two characters, the commonest length of a Chinese word, finds every place where they
stand side by side (docs/adr/0007-search-by-character.md has the measurements).

SQLite keeps an FTS5 index, `said_index`, beside the table, held to it by triggers; Postgres a column
`said.words`, which it fills itself, with a GIN index. Both are made by a migration.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, column, func, literal, select, table
from sqlalchemy.dialects.postgresql import TSVECTOR

from shared.records.tables import Said, Table

APART = "\u200b"  # a zero width space
UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u2e80-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d"  # Han, kana
    "\U00020000-\U0003ffff"
)
"""Characters of scripts without spaces between words. Korean has spaces; its words are found by their beginning."""

SAID = Table.metadata.tables[str(Said.__tablename__)]

_BORDERS = re.compile(rf"(?<=[{UNSPACED}])(?=\w)|(?<=\w)(?=[{UNSPACED}])")
_TERMS = re.compile(r'"([^"]*)"(\*?)|(\S+)')
_INDEX = table("said_index", column("rowid"), column("said_index"))


@dataclass(frozen=True)
class Term:
    """Words that must stand side by side; the last one may go on."""

    text: str
    is_prefix: bool


def apart(text: str) -> str:
    """The text as it is kept."""
    return text if text.isascii() else _BORDERS.sub(APART, text)


def together(text: str) -> str:
    """Kept text as people read and copy it."""
    return text.replace(APART, "")


def terms(question: str) -> list[Term]:
    """`kimi "tool call" err*`: words, phrases in quotes, beginnings with a star; text without any word is left out."""
    found = ((quoted, star) if quoted or star else _plain(plain) for quoted, star, plain in _TERMS.findall(question))
    cleaned = (Term(_words(text), bool(star)) for text, star in found)
    return [term for term in cleaned if term.text]


def found_by(question: str, dialect: str) -> Select[tuple[str]] | None:
    """The ids of exchanges in which all terms were said; None where the question has no word in it."""
    wanted = terms(question)
    if not wanted:
        return None
    return select(SAID.c.exchange_id).where(_on_postgres(wanted) if dialect == "postgresql" else _on_sqlite(wanted))


def _plain(word: str) -> tuple[str, str]:
    return (word.removesuffix("*"), "*") if word.endswith("*") else (word, "")


def _words(text: str) -> str:
    """Words only, a space between them: nothing in a question is an operator of the index."""
    return " ".join(re.findall(r"\w+", apart(text).replace("_", " ")))


def _on_sqlite(wanted: list[Term]) -> ColumnElement[bool]:
    match = " ".join(f'"{term.text}"{" *" if term.is_prefix else ""}' for term in wanted)
    return SAID.c.number.in_(select(_INDEX.c.rowid).where(_INDEX.c.said_index.op("MATCH")(match)))


def _on_postgres(wanted: list[Term]) -> ColumnElement[bool]:
    words = literal(" & ".join(_phrase(term) for term in wanted))
    said: ColumnElement[object] = column("words", TSVECTOR)
    return said.op("@@", is_comparison=True)(func.to_tsquery("simple", words))


def _phrase(term: Term) -> str:
    *words, last = term.text.split()
    return "(" + " <-> ".join([*words, f"{last}:*" if term.is_prefix else last]) + ")"
