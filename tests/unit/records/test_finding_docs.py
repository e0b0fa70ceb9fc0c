"""docs/finding.md is held to the fields. `UPDATE_DOCS=1 pytest tests/unit/records/test_finding_docs.py` writes it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from click import Command

from services.cli.listing import list_
from shared.records.names import EXCHANGES
from shared.records.predicates.fields import FIELDS, Derived, InBody, InColumn, InJson, Meaning, Repairs, Several

DOCS = Path(__file__).parents[3] / "docs" / "finding.md"
ELSEWHERE = {"--config", "--escape-html", "--export", "--verbose"}  # options that let nothing through
MARKED = re.compile(r"(<!-- fields -->\n)(.*?)(<!-- /fields -->)", re.DOTALL)


def test_the_documentation_shows_the_fields_as_they_are() -> None:
    text = DOCS.read_text(encoding="utf-8")
    drawn = drawing()
    if os.environ.get("UPDATE_DOCS"):
        text = MARKED.sub(lambda match: match[1] + drawn + match[3], text)
        DOCS.write_text(text, encoding="utf-8")
    (shown,) = MARKED.findall(text)

    assert shown[1] == drawn


def test_the_documentation_names_every_option_of_list() -> None:
    text = DOCS.read_text(encoding="utf-8")
    command: Command = list_
    options = {option for param in command.params for option in param.opts} - ELSEWHERE

    assert {option for option in options if f"{option}`" not in text and f"{option} " not in text} == set()


def drawing() -> str:
    names: dict[str, list[str]] = {}
    for name, meaning in FIELDS.items():
        if name not in EXCHANGES.columns or told(meaning) != f"column `{name}`":
            names.setdefault(told(meaning), []).append(f"`{name}`")
    rows = [f"| {', '.join(called)} | {what} |" for what, called in names.items()]
    return "\n".join(["| field | is |", "|---|---|", *rows, ""])


def told(meaning: Meaning) -> str:
    match meaning:
        case InColumn(column, "time"):
            return f"column `{column.name}`, as a time"
        case InColumn(column, _, named) if named is not None:
            return f"column `{column.name}`; compared with a text, `{named.name}`"
        case InColumn(column):
            name = getattr(column, "name", "")
            return (
                f"column `{name}`"
                if name in EXCHANGES.columns
                else f"column `{str(column).split('.')[1].split()[0]}`, in ms"
            )
        case Derived(column, made):
            return f"out of column `{column.name}`: {(made.__doc__ or '').strip().rstrip('.')}"
        case InJson(column):
            return f"column `{column.name}`, with a path"
        case InBody(part):
            return f"the body `{part}`, with a path"
        case Several(table, column, where):
            what = f"each `{column.name}` in `{table.name}`"
            return what if where is None else f"{what} of this name"
        case Repairs():
            return "each repair by its name"
