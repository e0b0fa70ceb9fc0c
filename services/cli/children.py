"""Worker processes beside the main one, for `moontide up --scale normalizer=2`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import click
import structlog
from anyio.abc import Process

from services.cli.orders import HANGUP

RESTART_AFTER_S = 1.0
HEEDS_AFTER_S = 5.0  # by then a child listens to signals
STOP_WITHIN_S = 35.0  # longer than a worker's own drain
OWN_SESSION = sys.platform != "win32"  # Ctrl-C goes to the main process, which stops its children in order
SCALABLE = ("upstream", "normalizer", "enforcer", "sentinel")

Scale = dict[str, int]

log = structlog.get_logger("children")


def parse_scale(text: str | None) -> Scale:
    """`normalizer=2,upstream=2` as numbers; raises a usage error that names what is wrong."""
    scale: Scale = {}
    for part in (text or "").split(",") if text else ():
        name, _, count = part.strip().partition("=")
        if name not in SCALABLE:
            raise click.UsageError(f"--scale {part}: only {', '.join(SCALABLE)} can be scaled")
        if not count.isdigit() or not 1 <= int(count) <= 64:
            raise click.UsageError(f"--scale {part}: give a number from 1 to 64, as in {name}=2")
        scale[name] = int(count)
    return scale


@dataclass
class Children:
    """Those that run at the moment."""

    living: dict[Process, float] = field(default_factory=dict)  # since when

    def reload(self) -> None:
        """New settings for all. One that is only starting would die of the signal; it looks at the files itself."""
        settled = [process for process, since in self.living.items() if time.monotonic() - since > HEEDS_AFTER_S]
        for process in settled:
            if HANGUP is not None:
                process.send_signal(HANGUP)


@asynccontextmanager
async def children(scale: Scale, file: str | None, environ: Mapping[str, str]) -> AsyncIterator[Children]:
    """The worker processes while the block lasts; one that dies is started again."""
    config = ["--config", file] if file else []
    family = Children()
    async with anyio.create_task_group() as tasks:
        for name, count in scale.items():
            for _ in range(count):
                command = [sys.executable, "-m", "services.cli.main", name, *config, "--parent", str(os.getpid())]
                tasks.start_soon(_keep_running, command, dict(environ), family)
        yield family
        tasks.cancel_scope.cancel()


async def _keep_running(command: list[str], environ: dict[str, str], family: Children) -> None:
    while True:
        async with await anyio.open_process(
            command, stdout=None, stderr=None, env=environ, start_new_session=OWN_SESSION
        ) as process:
            family.living[process] = time.monotonic()
            try:
                status = await process.wait()
            finally:
                family.living.pop(process, None)
                with anyio.CancelScope(shield=True):
                    await _end(process)
        log.warning("child.died", service=command[3], status=status)
        await anyio.sleep(RESTART_AFTER_S)


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    with anyio.move_on_after(STOP_WITHIN_S):
        await process.wait()
        return
    process.kill()
