"""Settings to the sink of traces. Imported where traces are on, and nowhere else: it needs `moontide[traces]`."""

from __future__ import annotations

from yarl import URL

from services.recorder.collector import Collector
from services.recorder.otlp import Encoder
from services.recorder.rules.redaction import Redaction
from services.recorder.traces import Policy, Traces
from services.recorder.worker import Rhythm
from shared.bus import Bus
from shared.config import Settings
from shared.config.traces import traces_url
from shared.metrics import Metrics
from shared.secrets import Secrets
from shared.subjects import Subjects


def traces_of(bus: Bus, settings: Settings, secrets: Secrets, metrics: Metrics) -> Traces:
    said = settings.traces
    collector = Collector(
        url=traces_url(said.endpoint),
        place=f"traces {URL(said.endpoint).host}",
        headers={name: secrets.get(reference) for name, reference in said.headers.items()},
        encoder=Encoder(),
        metrics=metrics,
    )
    policy = Policy(
        ratio=said.ratio,
        max_waiting=said.max_waiting,
        max_wait_s=said.max_wait_s,
        kinds={name: provider.kind for name, provider in settings.providers.items()},
        redaction=Redaction(settings.recorder.redact) if settings.recorder.redact else None,
    )
    return Traces(bus, Subjects(settings.bus.root), collector, policy, Rhythm())
