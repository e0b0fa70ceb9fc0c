"""`moontide record-to-test`: a recorded exchange as a test that plays it."""

from __future__ import annotations

from pathlib import Path

import click
import structlog

from services.cli import options
from services.cli.loading import load_or_exit
from services.cli.records import exchange_called, records
from services.cli.replay import run_for
from services.cli.replaying.earlier import earlier_of
from services.cli.replaying.recording import Recording, recording_of
from services.cli.replaying.scrubbing import SecretLeft, check_told, scrubbed
from services.cli.replaying.stage import play
from services.cli.replaying.written import write_test
from services.cli.selecting import named, the_one
from shared.records.exports.whole import Whole


@click.command("record-to-test")
@options.CONFIG
@named
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The test: test_….py.")
def record_to_test(file: str | None, output: Path | None, **names: str | None) -> None:
    """Write a pytest file that plays an exchange through the pipeline, with its data beside it."""
    kind, name = the_one(names)
    settings = load_or_exit(file, services=[]).settings
    with records(file) as found:
        whole = Whole.read(found, exchange_called(found, kind, name))
        recording = recording_of(whole, settings, earlier_of(found, whole))
    path = _path(output, recording)
    clean, notes = scrubbed(recording)
    click.echo(f"{path}\n{_write(path, clean)}")
    for note in notes:
        click.echo(f"left out: {note}", err=True)
    click.echo("what was said is in it, word for word: read it before you share it", err=True)


def _path(output: Path | None, recording: Recording) -> Path:
    path = output or Path(f"test_recorded_{recording.id.lower()}.py")
    if path.suffix != ".py" or not path.name.startswith("test_"):
        raise click.UsageError(f"-o {path}: pytest collects test_….py")
    return path


def _write(path: Path, clean: Recording) -> Path:
    """Plays it, and writes what comes out as the expectation; the data's path."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    played = run_for(play, clean)
    try:
        check_told(played.told)
        return write_test(path, clean, played)
    except SecretLeft as error:
        raise click.ClickException(f"nothing was written: {error}") from None
    except OSError as error:
        raise click.ClickException(f"can't write {error.filename or path}: {error.strerror}") from None
