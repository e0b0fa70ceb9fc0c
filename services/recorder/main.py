"""Composition root: settings and a bus to a running recorder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256

import anyio
from sqlalchemy import make_url

from services.recorder.poster import Receiver as Hook
from services.recorder.remembering import Remembering
from services.recorder.rules.redaction import Redaction
from services.recorder.watching import Observed, Watching
from services.recorder.webhook import Webhook
from services.recorder.worker import Rhythm, Sink
from shared.alerts import Receiver, is_teller
from shared.bus import Bus
from shared.config import Settings
from shared.config import Sink as SinkSettings
from shared.config.sinks import address, is_webhook
from shared.ids import new_instance
from shared.records.database import without_password
from shared.secrets import Secrets
from shared.subjects import Subjects
from shared.worker import Identity, Worker

CAPACITY = 1_000_000  # open exchanges: they wait in the database, not in memory
SILENCE_S = 900.0  # an exchange that is silent for longer is abandoned …
PATIENCES = 2  # … unless providers are given more time than that
DAY_S = 24 * 3600.0
GIB = 1024**3


@asynccontextmanager
async def recorder(bus: Bus, settings: Settings, secrets: Secrets | None = None) -> AsyncIterator[Worker]:
    """Records while the block lasts, each sink on its own; what was captured until then is written on the way out."""
    secrets = secrets or Secrets({})
    identity = Identity(service="recorder", instance=new_instance("recorder"), capacity=CAPACITY)
    worker = Worker(bus, Subjects(settings.bus.root), identity, drain_s=settings.recorder.drain_s)
    is_first = partial(_is_first, worker)
    sinks: list[Observed] = [sink_of(bus, settings, one, secrets, is_first) for one in settings.records]
    if settings.traces.enabled:
        from services.recorder.tracing import traces_of  # brings a library that few have and that takes long to import

        sinks.append(traces_of(bus, settings, secrets, worker.metrics))
    receivers = [Receiver(alert.shape, secrets.get(alert.url)) for alert in settings.alerts.values()]
    watching = Watching(worker, sinks, receivers, settings.recorder.lag_alert_s)
    async with worker.running(), recording(worker, sinks, settings.recorder.drain_s, watching):
        await Remembering(worker, databases(settings, secrets)).listen()
        yield worker


def databases(settings: Settings, secrets: Secrets) -> list[str]:
    """The sinks that can be read again."""
    urls = (address(sink, secrets) for sink in settings.records)
    return [url for url in urls if not is_webhook(url)]


def _is_first(worker: Worker) -> bool:
    """Of several recorders one does what must be done once."""
    return is_teller(worker.roster.live(), worker.identity.service, worker.identity.instance)


def sink_of(
    bus: Bus, settings: Settings, sink: SinkSettings, secrets: Secrets, is_first: Callable[[], bool] = lambda: True
) -> Sink | Webhook:
    url, subjects = address(sink, secrets), Subjects(settings.bus.root)
    redaction = Redaction(settings.recorder.redact)
    rhythm = Rhythm(
        abandoned_after_s=silence_limit_s(settings),
        keep_s=sink.keep_days * DAY_S if sink.keep_days is not None else None,
        keep_bytes=sink.keep_gib * GIB if sink.keep_gib is not None else None,
    )
    if not is_webhook(url):
        return Sink(bus, subjects, url, feed_name(url), rhythm, redaction)
    secret = secrets.get(sink.secret).reveal() if sink.secret is not None else None
    hook = Hook(url=url, place=f"webhook {make_url(url).host}", secret=secret, with_bodies=sink.bodies)
    return Webhook(bus, subjects, hook, feed_name(url), rhythm, redaction, is_first)


@asynccontextmanager
async def recording(
    worker: Worker, sinks: Sequence[Observed], drain_s: float, watching: Watching | None = None
) -> AsyncIterator[None]:
    """The sinks run inside the block; on the way out they have `drain_s` for what is still to be written."""
    async with anyio.create_task_group() as counting:
        counting.start_soon((watching or Watching(worker, sinks)).run)
        try:
            async with anyio.create_task_group() as writing:
                for sink in sinks:
                    writing.start_soon(sink.run)
                try:
                    yield
                finally:
                    for sink in sinks:
                        sink.stop()
                    writing.cancel_scope.shield = True
                    writing.cancel_scope.deadline = anyio.current_time() + drain_s
        finally:
            counting.cancel_scope.cancel()
            worker.in_flight = 0  # what is open waits in the database, and nobody has to wait for it


def feed_name(url: str) -> str:
    """A sink's place in the stream is its own, and the same after every start."""
    place = without_password(make_url(url)).render_as_string()
    return f"recorder-{sha256(place.encode()).hexdigest()[:8]}"


def silence_limit_s(settings: Settings) -> float:
    """Longer than any provider may be silent."""
    patiences = (max(p.timeouts.first_byte_s, p.timeouts.idle_s) for p in settings.providers.values())
    return max(SILENCE_S, PATIENCES * max(patiences, default=0.0))
