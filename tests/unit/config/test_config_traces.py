"""The settings of traces."""

from __future__ import annotations

import sys

import pytest

from shared.config import Loaded, load
from shared.config.traces import traces_url
from shared.errors import ConfigError

COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example:4318"}


def loaded(environ: dict[str, str] | None = None, services: list[str] | None = None, **traces: object) -> Loaded:
    return load(environ=environ or {}, overrides={"traces": traces}, services=services)


def problems(environ: dict[str, str] | None = None, services: list[str] | None = None, **traces: object) -> str:
    with pytest.raises(ConfigError) as wrong:
        loaded(environ, services, **traces)
    return str(wrong.value)


def test_traces_are_off_unless_they_are_asked_for() -> None:
    assert not loaded().settings.traces.enabled


def test_the_collector_is_the_one_that_opentelemetrys_variable_names() -> None:
    assert loaded(COLLECTOR, enabled=True).settings.traces.endpoint == "https://collector.example:4318"


def test_what_the_configuration_says_wins_over_opentelemetrys_variable() -> None:
    found = loaded(COLLECTOR, enabled=True, endpoint="http://here:4318").settings.traces

    assert found.endpoint == "http://here:4318"


def test_a_variable_for_somebody_else_is_no_problem_while_traces_are_off() -> None:
    assert loaded({"OTEL_EXPORTER_OTLP_ENDPOINT": "nonsense"}).settings.traces.endpoint == "http://127.0.0.1:4318"


def test_a_problem_with_the_variable_names_it() -> None:
    told = problems({"OTEL_EXPORTER_OTLP_ENDPOINT": "nonsense"}, enabled=True)

    assert told.startswith("OTEL_EXPORTER_OTLP_ENDPOINT: traces.endpoint: must be http://host:4318")


@pytest.mark.parametrize("endpoint", ["localhost:4318", "grpc://host:4317", "http://", "http://host/?token=x", ""])
def test_an_endpoint_is_an_address_of_http(endpoint: str) -> None:
    assert "traces.endpoint: must be http://host:4318" in problems(endpoint=endpoint)


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
        ("https://gateway.example/otlp", "https://gateway.example/otlp/v1/traces"),
        ("https://gateway.example/otlp/v1/traces", "https://gateway.example/otlp/v1/traces"),
    ],
)
def test_spans_are_posted_below_the_endpoint(endpoint: str, url: str) -> None:
    assert traces_url(endpoint) == url


def test_a_header_is_a_reference() -> None:
    told = problems(headers={"x-honeycomb-team": "abc"})

    assert "traces.headers.x-honeycomb-team: a secret must not stand here" in told
    assert "abc" not in told


def test_a_header_has_a_headers_name() -> None:
    assert "not a header's name" in problems({"A": "b"}, headers={"x honeycomb": "env:A"})


def test_only_the_recorder_looks_headers_up() -> None:
    headers = {"x-honeycomb-team": "env:NOT_SET"}

    assert loaded(services=["ingress", "upstream"], headers=headers)
    assert "NOT_SET is not set" in problems(services=["recorder"], headers=headers)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, "all"])
def test_a_ratio_is_a_share(ratio: object) -> None:
    assert "traces.ratio: must be a number from 0 to 1" in problems(ratio=ratio)


@pytest.mark.parametrize("module", ["opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.common", "opentelemetry"])
def test_what_is_not_installed_is_told_with_the_command(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == module or name.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)  # type: ignore[arg-type]

    assert "traces.enabled: needs OpenTelemetry" in problems(enabled=True)
    assert "pip install 'moontide[traces]'" in problems(enabled=True, services=["recorder"])
    assert loaded(enabled=True, services=["ingress", "upstream"])
    assert loaded(enabled=False)
