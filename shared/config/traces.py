"""Where traces go: the address by OpenTelemetry's own variable, what is wrong with it, and what has to be installed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from importlib.util import find_spec

from shared.config.addresses import HEADER, is_url
from shared.config.layers import Layer, Origin, Path, at, with_value
from shared.config.settings import Traces

ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
SIGNAL_PATH = "/v1/traces"  # of OTLP over HTTP, below the endpoint
EXTRA = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.common")  # what `moontide[traces]` brings
MISSING = (
    "needs OpenTelemetry, which is not installed here: pip install 'moontide[traces]' "
    "(in a checkout: pip install '.[traces]')"
)

Finding = tuple[Path, str]


def with_endpoint(layer: Layer, environ: Mapping[str, str]) -> Layer:
    """The address that OpenTelemetry's variable names, where traces are on and don't say their own."""
    path, named = ("traces", "endpoint"), environ.get(ENDPOINT_VARIABLE, "").strip()
    if not named or at(layer.values, ("traces", "enabled")) is not True or at(layer.values, path) is not None:
        return layer
    return with_value(layer, path, named, {path: Origin(ENDPOINT_VARIABLE)})


def traces_url(endpoint: str) -> str:
    """Where spans are posted to. The endpoint is that of all signals; one that names this signal stays as it is."""
    whole = endpoint.rstrip("/")
    return whole if whole.endswith(SIGNAL_PATH) else whole + SIGNAL_PATH


def traces_rules(traces: Traces) -> Iterator[Finding]:
    if not is_url(traces.endpoint, ("http", "https")):
        yield ("traces", "endpoint"), "must be http://host:4318 or https://host/path, without a query (OTLP over HTTP)"
    for name in traces.headers:
        if not HEADER.fullmatch(name):
            yield ("traces", "headers", name), "not a header's name"


def extra_rules(traces: Traces, services: Collection[str] | None) -> Iterator[Finding]:
    """Whether what sends traces is installed, where it is to run (None: everywhere)."""
    is_needed = traces.enabled and (services is None or "recorder" in services)
    if is_needed and not all(map(_is_there, EXTRA)):
        yield ("traces", "enabled"), MISSING


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # a package above it is missing
        return False
