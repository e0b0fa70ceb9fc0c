"""`moontide doctor`: is every provider there, and can it do what an agent needs?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import anyio
import click
import msgspec

from services.cli import options
from services.cli.connecting import run, settings_or_exit
from services.cli.doctoring.examination import Examination
from services.cli.doctoring.findings import Diagnosis, Finding, table
from services.cli.doctoring.patient import Patient
from services.upstream.adapters import adapter_of
from services.upstream.call import Connections, connections
from services.upstream.google_tokens import Tokens, credentials_of
from shared.config import Model, Provider, Settings, Target
from shared.config.models import is_glob
from shared.errors import SecretError, Unavailable
from shared.secrets import Secret, is_reference, resolve_all


class NothingWell(click.ClickException):
    """Something has failed, or nothing could be looked at; what, stands in the table."""

    exit_code = 1

    def show(self, file: object = None) -> None:
        """The table has said it."""


@dataclass(frozen=True)
class _Secrets:
    """What could be had, and why the rest could not."""

    found: Mapping[str, Secret | SecretError]

    def text(self, value: str) -> str:
        """A plain value, or what a reference refers to; raises SecretError."""
        if not is_reference(value):
            return value
        secret = self.found[value]
        if isinstance(secret, SecretError):
            raise SecretError(f"{value}: {secret}")
        return secret.reveal()


@click.command()
@options.CONFIG
@click.option("--provider", "only", metavar="NAME", help="This one alone.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def doctor(file: str | None, only: str | None, as_json: bool) -> None:
    """Ask each provider for models, balance, an answer, a stream and a tool call. Costs a fraction of a cent."""
    settings = settings_or_exit(file, []).settings
    names = [only] if only else list(settings.providers)
    if only and only not in settings.providers:
        raise click.UsageError(f"no provider is called {only}; there are: {', '.join(settings.providers)}")
    run(_examine, settings, names, as_json)


async def _examine(settings: Settings, names: list[str], as_json: bool) -> None:
    diagnoses = {name: Diagnosis(name, settings.providers[name].kind) for name in names}
    secrets = await _secrets([settings.providers[name] for name in names])
    async with connections() as ways, anyio.create_task_group() as tasks:
        for diagnosis in diagnoses.values():
            tasks.start_soon(_one, settings, secrets, ways, diagnosis)
    found = list(diagnoses.values())
    lines = [msgspec.json.encode(one.as_json()).decode() for one in found] if as_json else table(found)
    click.echo("\n".join(lines))
    if not all(one.is_well for one in found) or not any(one.was_examined for one in found):
        raise NothingWell("")


async def _secrets(providers: list[Provider]) -> _Secrets:
    """Every reference of these providers; `op` and files may take their time, so that is done in a thread."""
    texts = [text for one in providers for text in (one.api_key, one.credentials, *one.headers.values()) if text]
    references = [text for text in texts if is_reference(text)]
    return _Secrets(await anyio.to_thread.run_sync(resolve_all, references, dict(os.environ)))


async def _one(settings: Settings, secrets: _Secrets, ways: Connections, diagnosis: Diagnosis) -> None:
    provider = settings.providers[diagnosis.provider]
    adapter = adapter_of(provider)
    try:
        key = await _key(diagnosis.provider, provider, secrets)
        headers = {name.lower(): secrets.text(value) for name, value in provider.headers.items()}
    except (SecretError, Unavailable) as error:
        diagnosis.findings["key"] = Finding("failed", note=str(error))
        return
    if key is None and adapter.needs_key and "authorization" not in headers:
        note = "none is configured, clients bring their own: set api_key to have this provider looked at"
        diagnosis.findings["key"] = Finding("skipped", note=note)
        return
    diagnosis.findings["key"] = Finding("ok", "ok" if key else "none")
    target, model = _target(settings, diagnosis.provider)
    patient = Patient(diagnosis.provider, provider, adapter, ways, key, headers)
    await Examination(patient, target, model, diagnosis).run()


async def _key(name: str, provider: Provider, secrets: _Secrets) -> str | None:
    """The provider's key or access token; raises SecretError or Unavailable."""
    if provider.api_key:
        return secrets.text(provider.api_key)
    if provider.kind != "vertex":
        return None
    tokens = Tokens(name, credentials_of(secrets.text(provider.credentials)) if provider.credentials else None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tokens.keep_fresh)
        await tokens.until_first()
        tasks.cancel_scope.cancel()
    return tokens.reveal()


def _target(settings: Settings, provider: str) -> tuple[Target, Model]:
    """The first target at this provider whose model has a name, with what is configured for it."""
    for name, model in settings.models.items():
        for target in model.targets:
            called = target.model or (None if is_glob(name) else name)
            if target.provider == provider and called:
                return msgspec.structs.replace(target, model=called), model
    return Target(provider=provider), Model(targets=())
