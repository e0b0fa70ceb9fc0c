"""`moontide replay`: a recorded request again, or a recorded answer through today's pipeline."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click
import msgspec
import structlog

from services.cli import options
from services.cli.connecting import run
from services.cli.loading import load_or_exit
from services.cli.records import exchange_called, records
from services.cli.replaying.compared import Account, differences, is_same, side_by_side
from services.cli.replaying.earlier import earlier_of
from services.cli.replaying.live import asked_again, changes_of, key_for, send
from services.cli.replaying.recording import Recording, asked_of, recording_of
from services.cli.replaying.stage import Played, play
from services.cli.selecting import named, the_one
from services.cli.state import running_gateway
from services.cli.terminal import terminal_columns
from shared.config import Settings
from shared.records.exports.whole import Whole
from shared.records.queries import Records
from shared.records.told import Told, told

WIDE = 160  # columns, where the output is no terminal
FIRST_ERROR = 400
LIVE_ONLY = ("url", "provider", "model", "params", "key")

Ask = Callable[[str], Account]  # once more; what the answer is called


@click.command()
@options.CONFIG
@named
@click.option("--recorded", is_flag=True, help="Play what the provider sent then through today's pipeline, here.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), help="With --recorded: 2 is twice as fast.")
@click.option("--fast", is_flag=True, help="With --recorded: without waiting.")
@click.option("--url", help="The gateway (default: the one that runs on this machine).")
@click.option("--provider", help="This provider, wherever the model would go.")
@click.option("--model", help="This model instead.")
@click.option("--param", "params", multiple=True, metavar="NAME=JSON", help="Change the request; may be repeated.")
@click.option("--times", type=click.IntRange(1, 1000), default=1, show_default=True, help="How often.")
@click.option("-k", "--key", metavar="KEY", help="The key (default, on this machine: $MOONSHOT_API_KEY).")
@click.option("--json", "as_json", is_flag=True, help="Both answers as one JSON object, a line for each time.")
def replay(file: str | None, times: int, as_json: bool, **flags: Any) -> None:
    """Ask again, and show both answers side by side.

    Status 1 where the new answer is not well; with --recorded, where it is another one.
    """
    kind, name = the_one(flags)
    _check(flags)
    settings = load_or_exit(file, services=[]).settings
    with records(file) as found:
        whole = Whole.read(found, exchange_called(found, kind, name))
        then, ask = _then(whole), _again(found, whole, settings, flags)
    is_well = True
    for number in range(1, times + 1):
        now = ask(f"now {number}" if times > 1 else "now")
        is_well = (is_same(then, now) if flags["recorded"] else _is_well(now)) and is_well
        _show(then, now, as_json, is_recorded=flags["recorded"])
    raise SystemExit(0 if is_well else 1)


def _again(found: Records, whole: Whole, settings: Settings, flags: dict[str, Any]) -> Ask:
    return _recorded(found, whole, settings, flags) if flags["recorded"] else _live(whole, settings, flags)


def _recorded(found: Records, whole: Whole, settings: Settings, flags: dict[str, Any]) -> Ask:
    """Raises NotFound where there is nothing to play."""
    recording = recording_of(whole, settings, earlier_of(found, whole))
    speed = None if flags["fast"] else flags["speed"] or 1.0
    return lambda title: _played(recording, speed, title)


def _live(whole: Whole, settings: Settings, flags: dict[str, Any]) -> Ask:
    """Raises NotFound where the request's bytes are gone."""
    url = (flags["url"] or running_gateway(settings.home) or _url(settings)).rstrip("/").removesuffix("/v1")
    changes = changes_of(flags["params"])
    if flags["model"]:
        changes.insert(0, ("model", flags["model"]))
    again = asked_again(asked_of(whole), changes, flags["provider"], key_for(url, flags["key"], os.environ))
    return lambda title: run_for(send, url, again, title)


def _is_well(now: Account) -> bool:
    return (now.status or 0) < FIRST_ERROR and now.told.is_well


def _check(flags: dict[str, Any]) -> None:
    if flags["recorded"]:
        given = [f"--{name.removesuffix('s')}" for name in LIVE_ONLY if flags[name]]
        if given:
            raise click.UsageError(f"{', '.join(given)}: not with --recorded, which asks nobody")
    elif flags["speed"] or flags["fast"]:
        raise click.UsageError("--speed and --fast go with --recorded")
    if flags["speed"] and flags["fast"]:
        raise click.UsageError("--speed or --fast, not both")


def _url(settings: Settings) -> str:
    host = settings.ingress.host
    host = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.ingress.port}"


def _then(whole: Whole) -> Account:
    row, response = whole.exchange, whole.side().response
    return Account(
        title="then",
        status=row["status"],
        told=told(response.data, response.content_type) if response else Told(),
        outcome=row["outcome"],
        id=row["id"],
        first_byte_s=row["first_byte_s"],
        total_s=row["latency_s"],
        calls=row["calls"],
        repairs=row["repairs"] or {},
    )


def _played(recording: Recording, speed: float | None, title: str) -> Account:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))  # what it meets is shown below
    played: Played = run_for(play, recording, speed)
    if len(played.asked) != len(recording.calls):
        made, then = len(played.asked), len(recording.calls)
        click.echo(f"calls to providers: {then} then, {made} now", err=True)
    return Account(
        title=title,
        status=played.status,
        told=played.told,
        outcome=played.outcome,
        first_byte_s=played.first_byte_s,
        total_s=played.total_s,
        calls=len(played.asked),
        repairs=played.repairs,
    )


def run_for(work: Any, *args: Any) -> Any:
    """What `work` returns; its errors as one line."""
    found: list[Any] = []

    async def main() -> None:
        found.append(await work(*args))

    run(main)
    return found[0]


def _show(then: Account, now: Account, as_json: bool, is_recorded: bool) -> None:
    same = is_same(then, now)
    if as_json:
        click.echo(msgspec.json.encode({"same": same, "then": then, "now": now}))
        return
    click.echo("\n".join(side_by_side(then, now, terminal_columns() or WIDE)))
    if is_recorded:
        click.echo("\nthe client is told the same" if same else "\nthe client is told something else:")
        click.echo("\n".join(differences(then, now)), nl=not same)
