"""`moontide nats-config`: the configuration of a NATS server of one's own, with a user for each service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click

from services.cli import options
from services.cli.connecting import settings_or_exit
from services.cli.private_files import private_file
from shared.rights import Rights, rights
from shared.subjects import Subjects

STORE = "/tmp/jetstream"  # noqa: S108 - compose.yaml mounts a volume there
STORE_GB = 16
HEAD = """\
# Written by `moontide nats-config`; what each user may do stands in shared/rights.py.
# A password comes out of the server's environment: in quotes, or a bare 12e4 would be read as a number.
port: 4222
http: "127.0.0.1:8222"                 # for a health check on the same machine
max_pending: 256MB                     # outgoing bytes of one connection, before the server calls it too slow

jetstream {{
  store_dir: {store}
  max_file_store: {store_gb}GB                 # at least bus.capture.max_bytes
}}

authorization {{
  users: [
"""
TAIL = "  ]\n}\n"


@click.command("nats-config")
@options.CONFIG
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Into this file (0600).")
@click.option("--store", default=STORE, show_default=True, help="Where the server keeps its streams.")
@click.option("--store-gb", type=click.IntRange(1), default=STORE_GB, show_default=True, help="How much, at most.")
def nats_config(file: str | None, output: Path | None, store: str, store_gb: int) -> None:
    """A nats.conf with one user per service, each with the subjects that it needs."""
    text = nats_conf(Subjects(settings_or_exit(file, []).settings.bus.root), store, store_gb)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        with private_file(output) as out:
            out.write(text.encode())
    except OSError as error:
        raise click.ClickException(f"can't write {output}: {error.strerror}") from None
    names = ", ".join(password_of(user) for user in rights(Subjects()))
    click.echo(f"{output}: the server takes the passwords from its environment: {names}", err=True)


def nats_conf(subjects: Subjects, store: str = STORE, store_gb: int = STORE_GB) -> str:
    users = "".join("".join(_user(name, its)) for name, its in rights(subjects).items())
    return HEAD.format(store=json.dumps(store, ensure_ascii=False), store_gb=store_gb) + users + TAIL


def password_of(user: str) -> str:
    """The environment variable with a user's password."""
    return f"NATS_{user.upper()}_PASSWORD"


def _user(name: str, its: Rights) -> Iterator[str]:
    yield f"    {{\n      user: {name}\n      password: ${password_of(name)}\n      permissions: {{\n"
    yield from _allowed("publish", its.publish)
    yield from _allowed("subscribe", its.subscribe)
    if its.publish:
        yield "        allow_responses: true\n"
    yield "      }\n    }\n"


def _allowed(what: str, patterns: tuple[str, ...]) -> Iterator[str]:
    if not patterns:
        yield f'        {what}: {{ deny: [">"] }}\n'
        return
    yield f"        {what}: {{\n          allow: [\n"
    yield from (f"            {json.dumps(pattern)}\n" for pattern in dict.fromkeys(patterns))
    yield "          ]\n        }\n"
