"""Every `moontide …` line in README and docs is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from services.cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SPAN = re.compile(r"`([^`\n]+)`")
LINE = re.compile(r"^(?:    |\$ )?\s*((?:[\w./-]*/)?moontide .*)$", re.MULTILINE)
COMMAND = re.compile(r"(?:^|[\s/])moontide\s+(.+)$")
END = re.compile(r"\s(?:#|\||<|>|&&|;|or)(?:\s|$)|\s#")
QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
ETC = "…"


def documented() -> Iterator[tuple[str, str]]:
    """The page and what stands behind `moontide` in each command line."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        candidates = [*SPAN.findall(text), *LINE.findall(text), *(line for line in text.splitlines() if "exec" in line)]
        for candidate in candidates:
            found = COMMAND.search(candidate)
            if found and not found[1].startswith(ETC):
                for part in re.split(r"\|(?=\w)", found[1]) if re.match(r"[\w-]+\|", found[1]) else [found[1]]:
                    yield str(page.relative_to(ROOT)), command_in(part).strip().rstrip("`")


def command_in(line: str) -> str:
    """What stands before a comment, a pipe or the next command, none of which stands in quotes."""
    end = END.search(QUOTED.sub(lambda quoted: "x" * len(quoted[0]), line))
    return line[: end.start()] if end else line


LINES = sorted(set(documented()))


def test_lines_were_found() -> None:
    assert len(LINES) > 20


@pytest.mark.parametrize(("page", "line"), LINES)
def test_a_documented_line_is_accepted(page: str, line: str) -> None:
    command, rest = resolved(
        main, [word for word in shlex.split(line.replace("[", "").replace("]", "")) if word != ETC]
    )
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "-h", "--version"}

    flags = {word.partition("=")[0] for word in rest if word.startswith("-")}
    assert flags <= known, f"{page}: {line}: {command.name} has no {', '.join(flags - known)}"


def resolved(group: click.Group, words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words call, and what is left of them."""
    if not words or words[0].startswith("-"):
        return group, words
    command = group.get_command(click.Context(group), words[0])
    assert command is not None, f"there is no command {words[0]!r}"
    if isinstance(command, click.Group):
        return resolved(command, words[1:])
    return command, words[1:]


@pytest.mark.parametrize("name", main.list_commands(click.Context(main)))
def test_every_command_explains_itself(name: str) -> None:
    command = main.get_command(click.Context(main), name)

    assert command is not None
    assert command.get_short_help_str()
    hidden = [p for p in command.params if isinstance(p, click.Option) and p.hidden]
    without = [p.name for p in command.params if isinstance(p, click.Option) and not p.help and p not in hidden]
    assert without == []
