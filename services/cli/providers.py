"""The providers and their circuits, and closing one by hand."""

from __future__ import annotations

import json
import time

import click
import msgspec

from services.cli import options
from services.cli.connecting import connect, run, settings_or_exit
from services.upstream.board import share
from shared.bus import Bus
from shared.config import Loaded, Settings
from shared.contracts import ProviderState, decode
from shared.subjects import PROVIDERS_BUCKET, Subjects

MESSAGE_CHARACTERS = 80  # of what a provider said, in the table


@click.group(invoke_without_command=True)
@options.CONFIG
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def providers(context: click.Context, file: str | None, as_json: bool) -> None:
    """The providers, and whether each is asked at the moment."""
    context.obj = file
    if context.invoked_subcommand is None:
        run(_print_providers, settings_or_exit(file, []), as_json)


@providers.command()
@options.CONFIG
@click.argument("name")
@click.pass_context
def reset(context: click.Context, file: str | None, name: str) -> None:
    """Ask a provider again at once, whatever its circuit says."""
    loaded = settings_or_exit(file or context.obj, [])
    if name not in loaded.settings.providers:
        known = ", ".join(loaded.settings.providers)
        raise click.ClickException(f"no provider is called {name}; there are: {known}")
    run(_reset, loaded, name)


async def _print_providers(loaded: Loaded, as_json: bool) -> None:
    bus = await connect(loaded.settings, loaded, "providers")
    try:
        states = await _states(bus, loaded.settings)
    finally:
        await bus.close()
    for state in states if as_json else ():
        facts = msgspec.structs.asdict(state)
        click.echo(json.dumps({**facts, "kind": loaded.settings.providers[state.provider].kind}))
    if not as_json:
        _print_table(states, loaded.settings)


async def _states(bus: Bus, settings: Settings) -> list[ProviderState]:
    """Every provider's, closed where nothing else is known; then those of single models that are not closed."""
    bucket = await bus.state(PROVIDERS_BUCKET)
    known = [decode(ProviderState, data) for data in (await bucket.entries()).values()]
    whole = {state.provider: state for state in known if state.model is None}
    well = {name: ProviderState(provider=name, state="closed", worker="", at=0.0) for name in settings.providers}
    models = [state for state in known if state.model is not None and state.state != "closed"]
    ours = [state for state in models if state.provider in settings.providers]
    return [whole.get(name, closed) for name, closed in well.items()] + ours


def _print_table(states: list[ProviderState], settings: Settings) -> None:
    rows = [("PROVIDER", "KIND", "STATE", "WHY", "ASKED AGAIN", "BALANCE", "IT SAID")]
    for state in states:
        name = state.provider if state.model is None else f"{state.provider} ({state.model})"
        said = state.message[:MESSAGE_CHARACTERS]
        kind = settings.providers[state.provider].kind
        rows.append((name, kind, state.state, state.why, _when(state), state.balance or "", said))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _when(state: ProviderState) -> str:
    left_s = state.until - time.time()
    if state.state == "closed":
        return ""
    return f"in {left_s:.0f} s" if left_s > 0 else "by the next request"


async def _reset(loaded: Loaded, name: str) -> None:
    bus = await connect(loaded.settings, loaded, "providers")
    try:
        open_ = [state for state in await _states(bus, loaded.settings) if state.provider == name]
        for state in open_:
            closed = ProviderState(provider=name, model=state.model, state="closed", worker="operator", at=time.time())
            await share(bus, Subjects(loaded.settings.bus.root), closed)
        await bus.flush()
    finally:
        await bus.close()
    click.echo(f"{name} is asked again", err=True)
