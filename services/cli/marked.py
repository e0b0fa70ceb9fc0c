"""What may be said of an exchange on a command line."""

from __future__ import annotations

from collections.abc import Callable

import click

from shared.records.marks import Name, Unmarkable, check


def checked(name: Name) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], tuple[str, ...]]:
    """A callback for an option that may be repeated; wrong usage where a text can't be kept."""

    def callback(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for text in texts:
                check(name, text)
        except Unmarkable as error:
            raise click.BadParameter(str(error)) from None
        return texts

    return callback
