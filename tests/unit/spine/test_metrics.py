"""Figures: counted, bounded, carried by heartbeats, and shown as Prometheus reads them."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from shared.contracts import Heartbeat, Sample, decode, encode
from shared.metrics import BUCKETS_S, CATALOG, MOST_SERIES, OTHER, Metrics, exposition
from tests.fixtures.spine import a_beat

Shown = dict[tuple[str, frozenset[tuple[str, str]]], float]


def shown(beats: list[Heartbeat], own: Metrics | None = None, instance: str = "in-1") -> Shown:
    text = exposition(beats, own or Metrics(), instance).decode()
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def labels(**values: str) -> frozenset[tuple[str, str]]:
    return frozenset(values.items())


def beat(instance: str, service: str, own: Metrics | None = None) -> Heartbeat:
    found = a_beat(instance, service)
    return msgspec.structs.replace(found, samples=own.samples() if own else [])


def test_what_is_counted_is_shown_with_the_worker_that_counted_it() -> None:
    own = Metrics()
    own.add("retries", "moonshot", "server_error")
    own.add("retries", "moonshot", "server_error", value=2)

    found = shown([beat("in-1", "ingress")], own)

    name = "moontide_retries_total"
    key = labels(provider="moonshot", why="server_error", service="ingress", worker="in-1")
    assert found[name, key] == 3.0


def test_other_workers_figures_come_out_of_their_heartbeats() -> None:
    far = Metrics()
    far.set("circuit_state", 3.0, "moonshot")
    there = decode(Heartbeat, encode(beat("up-1", "upstream", far)))

    found = shown([beat("in-1", "ingress"), there])

    state = labels(provider="moonshot", service="upstream", worker="up-1")
    assert found["moontide_circuit_state", state] == 3.0
    assert found["moontide_worker_capacity", labels(service="upstream", worker="up-1")] == 1.0


def test_a_worker_of_another_version_may_say_what_nobody_knows() -> None:
    unknown = [Sample(name="moon_phase", value=1.0), Sample(name="retries", value=1.0, labels={"else": "x"})]
    there = msgspec.structs.replace(a_beat("up-1"), samples=unknown)

    assert not {name for name, _ in shown([there]) if "moon_phase" in name or "retries" in name}


@given(st.lists(st.floats(0, 1000), max_size=50))
def test_a_histogram_counts_each_value_once_and_from_its_bucket_upwards(values: list[float]) -> None:
    own = Metrics()
    for value in values:
        own.observe("request_seconds", value, "kimi", "moonshot")

    found = shown([beat("in-1", "ingress")], own)

    name, common = "moontide_request_seconds", {"model": "kimi", "provider": "moonshot"}
    common |= {"service": "ingress", "worker": "in-1"}
    for edge in BUCKETS_S if values else ():
        expected = sum(value <= edge for value in values)
        assert found[f"{name}_bucket", labels(le=str(edge), **common)] == expected
    assert found.get((f"{name}_count", labels(**common)), 0.0) == len(values)


def test_past_a_bound_whatever_is_new_is_counted_together() -> None:
    own = Metrics()
    for number in range(MOST_SERIES + 10):
        own.add("repairs", f"repair-{number}")
        own.observe("first_byte_seconds", 0.1, f"model-{number}", "p")
    own.set("circuit_state", 1.0, "p")

    samples = {sample.labels["repair"]: sample.value for sample in own.samples() if sample.name == "repairs"}
    assert len(samples) == MOST_SERIES + 1
    assert samples[OTHER] == 10
    assert len(list(own.histograms())) == MOST_SERIES + 1


def test_a_gauge_whose_subject_is_gone_is_gone() -> None:
    own = Metrics()
    own.set("circuit_state", 1.0, "p")
    own.clear("circuit_state")
    own.clear("circuit_state")

    assert own.samples() == []


@given(st.text(max_size=30))
def test_any_label_can_be_read_again(text: str) -> None:
    own = Metrics()
    own.add("repairs", text.encode("utf-8", "replace").decode())

    assert any(("repair", own.samples()[0].labels["repair"]) in found for _, found in shown([beat("in-1", "x")], own))


def test_every_figure_says_what_it_is() -> None:
    assert all(figure.help and len(set(figure.labels)) == len(figure.labels) for figure in CATALOG.values())
