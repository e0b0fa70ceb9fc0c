"""docs/operations.md lists every figure. UPDATE_DOCS=1 writes the table anew."""

from __future__ import annotations

import os
from pathlib import Path

from shared.metrics import FIGURES, PREFIX

DOCS = Path(__file__).parents[3] / "docs" / "operations.md"
BEGIN, END = "<!-- figures -->\n", "<!-- /figures -->"


def table() -> str:
    rows = ["| figure | kind | labels | meaning |", "|---|---|---|---|"]
    for figure in FIGURES:
        name = f"{PREFIX}{figure.name}{'_total' if figure.kind == 'counter' else ''}"
        labels = ", ".join(f"`{label}`" for label in figure.labels)
        rows.append(f"| `{name}` | {figure.kind} | {labels} | {figure.help} |")
    return "\n".join(rows) + "\n"


def test_every_figure_is_documented() -> None:
    text = DOCS.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    written, _, after = rest.partition(END)
    if os.environ.get("UPDATE_DOCS"):
        DOCS.write_text(before + BEGIN + table() + END + after, encoding="utf-8")
        written = table()

    assert written == table()
