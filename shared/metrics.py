"""What workers count and measure: figures in memory, shown at `/metrics` and carried by heartbeats.

Every figure stands in the catalog; docs/operations.md is held to it. Each worker has a `Metrics` of its own. Counters
and gauges travel in its heartbeats, so that one scrape of the ingress shows the whole fleet; histograms stay with the
worker that keeps them. Any service publishes a figure of its own by an entry in the catalog and a call of `add` or
`set`.

Label values come from the configuration and from closed lists, never from clients; past `MOST_SERIES` of one figure
whatever is new is counted as `other`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from shared.contracts import Heartbeat, Sample

PREFIX = "moontide_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MOST_SERIES = 500  # of one figure, in one worker
MOST_IN_BEAT = 1000  # figures that travel in one heartbeat, about 50 bytes each
OTHER = "other"
WORKER_LABELS = ("service", "worker")
BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
Labels = tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """One figure; a counter's name gets `_total` behind it where it is shown."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Labels = ()


FIGURES: tuple[Figure, ...] = (
    Figure("requests", "counter", "Requests that were answered.", ("model", "provider", "status", "dialect")),
    Figure("refusals", "counter", "Requests refused before they were one: key, size, model, path.", ("status", "code")),
    Figure("first_byte_seconds", "histogram", "From a request to its first byte to the client.", ("model", "provider")),
    Figure("request_seconds", "histogram", "From a request to the end of its answer.", ("model", "provider")),
    Figure(
        "tokens",
        "counter",
        "Tokens as providers counted them; cached are part of prompt, reasoning of completion.",
        ("model", "provider", "kind"),
    ),
    Figure("cost_dollars", "counter", "What answers cost, where the price is known.", ("model", "provider")),
    Figure("repairs", "counter", "Mendings of answers.", ("repair",)),
    Figure("calls", "counter", "Calls to providers, by what came of them.", ("provider", "result")),
    Figure("retries", "counter", "Calls made again to the same target.", ("provider", "why")),
    Figure("failovers", "counter", "Calls that took over from another target's.", ("provider", "why")),
    Figure("continuations", "counter", "Broken streams that went on from another call.", ("provider", "why")),
    Figure("circuit_state", "gauge", "0 closed, 1 half open, 2 open, 3 shut.", ("provider",)),
    Figure("fresh_connections", "counter", "Calls sent again because a kept connection was dead.", ("provider",)),
    Figure("bus_reconnects", "counter", "Connections to the bus that were lost and came back."),
    Figure("recorder_lag_messages", "gauge", "Messages in the capture stream that are not recorded.", ("sink",)),
    Figure("recorder_lag_seconds", "gauge", "How long the oldest of them has been waiting.", ("sink",)),
    Figure("traces", "counter", "Traces that a collector took (`exported`), or why they were dropped.", ("result",)),
    Figure("spans", "counter", "Spans of traces that were posted, by what became of them.", ("result",)),
    Figure("worker_in_flight", "gauge", "Jobs or requests in hand."),
    Figure("worker_capacity", "gauge", "The most that it takes."),
    Figure("worker_draining", "gauge", "1 while it takes nothing new."),
    Figure("worker_started_seconds", "gauge", "When it started, in Unix time."),
    Figure("worker_settings_seconds", "gauge", "When its settings came into force, in Unix time.", ("digest",)),
)
CATALOG = {figure.name: figure for figure in FIGURES}


@dataclass
class Histogram:
    """Counts by bucket, the last one for everything above."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    sum: float = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(BUCKETS_S, value)] += 1
        self.sum += value

    def cumulative(self) -> list[tuple[str, float]]:
        edges = [*map(str, BUCKETS_S), "+Inf"]
        return [(edge, float(sum(self.counts[: at + 1]))) for at, edge in enumerate(edges)]


class Metrics:
    """One worker's."""

    def __init__(self) -> None:
        self._values: dict[str, dict[Labels, float]] = {}
        self._histograms: dict[str, dict[Labels, Histogram]] = {}

    def add(self, name: str, *labels: str, value: float = 1.0) -> None:
        """Counts; `labels` are in the catalog's order."""
        series = self._values.setdefault(name, {})
        key = labels if labels in series else _bounded(series, labels)
        series[key] = series.get(key, 0.0) + value

    def set(self, name: str, value: float, *labels: str) -> None:
        """What a gauge is at now."""
        series = self._values.setdefault(name, {})
        series[labels if labels in series else _bounded(series, labels)] = value

    def clear(self, name: str) -> None:
        """Lets go of a gauge's series: what they were about is no more."""
        self._values.pop(name, None)

    def observe(self, name: str, value: float, *labels: str) -> None:
        series = self._histograms.setdefault(name, {})
        key = labels if labels in series else _bounded(series, labels)
        if key not in series:
            series[key] = Histogram()
        series[key].observe(value)

    def samples(self) -> list[Sample]:
        """Counters and gauges, for a heartbeat."""
        return [
            Sample(name=name, value=value, labels=dict(zip(CATALOG[name].labels, labels, strict=True)))
            for name, series in self._values.items()
            for labels, value in series.items()
        ]

    def histograms(self) -> Iterator[tuple[str, Labels, Histogram]]:
        for name, series in self._histograms.items():
            for labels, histogram in series.items():
                yield name, labels, histogram


def _bounded(series: dict[Labels, float] | dict[Labels, Histogram], labels: Labels) -> Labels:
    return labels if len(series) < MOST_SERIES else (OTHER,) * len(labels)


class Fleet(Collector):
    """Workers' figures as Prometheus takes them: each with the worker that it is about."""

    def __init__(self, beats: Sequence[Heartbeat], own: Metrics, instance: str) -> None:
        self._beats = beats
        self._own = own
        self._instance = instance
        self._families: dict[str, Family] = {}

    def collect(self) -> Iterable[Family]:
        self._families = {}
        for beat in self._beats:
            for sample in (*_of_beat(beat), *self._samples(beat)):
                self._add(beat, sample)
        for name, labels, histogram in self._own.histograms():
            service = next((beat.service for beat in self._beats if beat.instance == self._instance), "")
            family = self._family(CATALOG[name])
            values = [*labels, service, self._instance]
            family.add_metric(values, histogram.cumulative(), histogram.sum)  # type: ignore[arg-type]
        return self._families.values()

    def _samples(self, beat: Heartbeat) -> list[Sample]:
        """What this worker says itself is newer than its last heartbeat."""
        return self._own.samples() if beat.instance == self._instance else beat.samples

    def _add(self, beat: Heartbeat, sample: Sample) -> None:
        figure = CATALOG.get(sample.name)
        if figure is None or set(sample.labels) != set(figure.labels):
            return  # a worker of another version
        values = [*(str(sample.labels[name]) for name in figure.labels), beat.service, beat.instance]
        self._family(figure).add_metric(values, sample.value)  # type: ignore[arg-type, call-arg]

    def _family(self, figure: Figure) -> Family:
        if figure.name not in self._families:
            kind = _KINDS[figure.kind]
            labels = [*figure.labels, *WORKER_LABELS]
            self._families[figure.name] = kind(PREFIX + figure.name, figure.help, labels=labels)
        return self._families[figure.name]


_KINDS: dict[str, type[Family]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


def _of_beat(beat: Heartbeat) -> Iterator[Sample]:
    yield Sample(name="worker_in_flight", value=beat.in_flight)
    yield Sample(name="worker_capacity", value=beat.capacity)
    yield Sample(name="worker_draining", value=float(beat.draining))
    yield Sample(name="worker_started_seconds", value=beat.started_at)
    if beat.settings_at:
        yield Sample(name="worker_settings_seconds", value=beat.settings_at, labels={"digest": beat.settings})


def exposition(beats: Sequence[Heartbeat], own: Metrics, instance: str) -> bytes:
    """The text of `GET /metrics`: what is known of the workers that `beats` are from, and `own` in full."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Fleet(beats, own, instance))
    return generate_latest(registry)
