"""Where exports go: one output for all exchanges, or a folder with a file for each."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import click
import msgspec

from services.cli.private_files import private_file
from services.cli.terminal import block
from shared.records.exports.moonpalace import file_name
from shared.records.exports.shapes import Shape
from shared.records.exports.training import LeftOut
from shared.records.exports.whole import Whole
from shared.records.queries import NotFound

STDOUT, STDERR = "stdout", "stderr"  # MoonPalace's names for them

Write = Callable[[bytes], object]


class Place(Protocol):
    def take(self, wholes: Iterable[Whole]) -> Iterator[Whole]:
        """Writes each, and gives back those that are written; what is left out is counted."""

    left_out: Counter[str]


class OneOutput:
    """All into one file, or onto stdout: nothing is held in memory but one exchange."""

    def __init__(self, shape: Shape, output: str) -> None:
        self.left_out: Counter[str] = Counter()
        self._shape = shape
        self._output = output

    def take(self, wholes: Iterable[Whole]) -> Iterator[Whole]:
        shape, is_first = self._shape, True
        with _opened(self._output) as write:
            write(shape.before)
            for whole in wholes:
                piece = _piece(shape, whole, self.left_out)
                if piece is not None:
                    write(piece if is_first else shape.between + piece)
                    is_first = False
                    yield whole
            write(shape.after)


class Folder:
    """A file for each, with MoonPalace's name; one that another exchange has is never overwritten."""

    def __init__(self, shape: Shape, folder: Path) -> None:
        self.left_out: Counter[str] = Counter()
        self._shape = shape
        self._folder = folder

    def take(self, wholes: Iterable[Whole]) -> Iterator[Whole]:
        shape = self._shape
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for whole in wholes:
            piece = _piece(shape, whole, self.left_out)
            if piece is not None:
                with private_file(self._path_for(whole, piece)) as file:
                    for data in (shape.before, piece, shape.after):
                        file.write(data)
                yield whole

    def _path_for(self, whole: Whole, piece: bytes) -> Path:
        """The plain name; with the exchange's id behind it where another exchange has that."""
        name = file_name(whole.exchange, whole.is_chat).removesuffix(".json")
        path = self._folder / f"{name}{self._shape.suffix}"
        if path.exists() and not _is_of(path, whole.exchange["id"], piece):
            return self._folder / f"{name}-{whole.exchange['id']}{self._shape.suffix}"
        return path


@contextmanager
def _opened(output: str) -> Iterator[Write]:
    if output in (STDOUT, STDERR, "-"):
        yield _onto(is_error=output == STDERR)
    else:
        with private_file(Path(output)) as file:
            yield file.write


def _onto(is_error: bool) -> Write:
    """A terminal must not obey what a model or a client said."""
    stream = sys.stderr if is_error else sys.stdout
    if not stream.isatty():
        return lambda data: click.echo(data, nl=False, err=is_error)
    return lambda data: click.echo(block(data.decode("utf-8", "replace")), nl=False, err=is_error)


def _piece(shape: Shape, whole: Whole, left_out: Counter[str]) -> bytes | None:
    try:
        return shape.piece(whole)
    except LeftOut as why:
        left_out[str(why)] += 1
    except NotFound as why:
        left_out[str(why).replace(f"exchange {whole.exchange['number']}", "it")] += 1
    return None


class _Metadata(msgspec.Struct):
    moontide_id: str = ""


class _Document(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


def _is_of(path: Path, exchange_id: str, piece: bytes) -> bool:
    """Whether the file is an earlier export of the same exchange."""
    try:
        data = path.read_bytes()
        return piece in data or msgspec.json.decode(data, type=_Document).metadata.moontide_id == exchange_id
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return False
