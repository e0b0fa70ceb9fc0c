"""What any command needs of its surroundings: settings, a bus, and clear last lines.

It imports no service: a container's health check runs every few seconds, and must cost little.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

import anyio
import click

from services.cli.loading import load_or_exit
from services.cli.state import running_url
from shared import log
from shared.bus import BusUnavailable
from shared.bus.nats import NatsBus
from shared.config import Loaded, Settings
from shared.errors import MoontideError
from shared.rights import inbox_of
from shared.subjects import Subjects

COMMAND_PATIENCE_S = 1.0  # of somebody at a terminal
NAME = re.compile(r"[A-Za-z0-9_-]+")


def settings_or_exit(
    file: str | None,
    services: Collection[str],
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """Checked settings; a process without them ends with status 2 and a line per problem."""
    loaded = load_or_exit(file, services, overrides, environ)
    log.configure(loaded.settings.log.level, loaded.settings.log.format)
    return loaded


def run(main: Callable[..., Awaitable[None]], *args: Any) -> None:
    """Runs `main` to its end; what an operator can mend ends in one line and status 1."""
    options = {"use_uvloop": sys.platform != "win32"}
    try:
        anyio.run(main, *args, backend_options=options)
    except (MoontideError, BusUnavailable) as error:
        raise click.ClickException(str(error)) from None
    except BaseExceptionGroup as group:
        known, rest = group.split((MoontideError, BusUnavailable, SystemExit))
        if rest is not None or known is None:
            raise
        first = _first(known)
        raise (first if isinstance(first, SystemExit) else click.ClickException(str(first))) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def connect(
    settings: Settings, loaded: Loaded, name: str, url: str | None = None, patience_s: float = COMMAND_PATIENCE_S
) -> NatsBus:
    """A bus for one service; raises BusUnavailable with what to do when there is none."""
    url = url or settings.bus.url or running_url(settings.home)
    if url is None:
        raise BusUnavailable("no NATS server is known: start `moontide up`, or set MOONTIDE_NATS_URL")
    credentials = loaded.secrets.get(settings.bus.credentials).reveal() if settings.bus.credentials else None
    return await NatsBus.connect(
        url,
        Subjects(settings.bus.root),
        f"moontide {name}",
        credentials=credentials,
        patience_s=patience_s,
        inbox=inbox_of(user_of(url, credentials is not None) or name),
    )


def user_of(url: str, has_credentials: bool = False) -> str | None:
    """Whom the server is told that we are, as far as the name can stand in a subject.

    A name without a password is a token, and a secret, unless credentials say who we are.
    """
    first = urlsplit(url.partition(",")[0].strip())
    user = (first.username or "") if first.password is not None or has_credentials else ""
    return user if NAME.fullmatch(user) else None
