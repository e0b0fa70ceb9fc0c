"""`moontide up` with traces on: the official SDK asks, and a collector gets the spans."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from tests.fixtures.collectors import Collecting, Seen, collecting
from tests.fixtures.installation import MESSAGES, WEATHER, Installation, Simulator, ask, installed, until

AGAIN = "sim/server-error,text?chunks=5"  # the simulator counts by name, and nobody else asks for this one
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collecting]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(collecting()) as found:
        yield found


@pytest.fixture(scope="module")
def traced(
    tmp_path_factory: pytest.TempPathFactory, simulator: Simulator, collector: Collecting
) -> Iterator[Installation]:
    traces = {"enabled": True, "endpoint": collector.url}
    models = {
        "*": {"targets": [{"provider": "sim"}]},
        "made-again": {"targets": [{"provider": "patient", "model": AGAIN}]},
    }
    with installed(tmp_path_factory.mktemp("traces"), simulator, traces=traces, models=models) as installation:
        yield installation


def spans_of(collector: Collecting, id: str) -> list[Seen]:
    return until(lambda: collector.of(id), f"the trace of {id}")


def test_a_stream_of_the_sdk_is_a_trace(traced: Installation, collector: Collecting) -> None:
    with traced.client() as client:
        streamed = client.chat.completions.with_raw_response.create(model="sim/text", messages=MESSAGES, stream=True)
        list(streamed.parse())
        request, stage, call = spans_of(collector, streamed.headers["X-Moontide-Request-Id"])

    assert [one.service for one in (request, stage, call)] == [
        "moontide-ingress",
        "moontide-normalizer",
        "moontide-upstream",
    ]
    assert (request.parent_id, stage.parent_id, call.parent_id) == ("", request.id, stage.id)
    assert request.began_ns <= call.began_ns <= call.ended_ns <= request.ended_ns
    assert request.attributes["gen_ai.usage.output_tokens"] == call.attributes["gen_ai.usage.output_tokens"] > 0
    assert request.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert call.names() == ["moontide.first-byte"]


def test_a_call_that_was_made_again_is_two_spans(traced: Installation, collector: Collecting) -> None:
    with traced.client() as client:
        answered = client.chat.completions.with_raw_response.create(model="made-again", messages=MESSAGES)
        spans = spans_of(collector, answered.headers["X-Moontide-Request-Id"])

    first, second = (span for span in spans if span.name == f"chat {AGAIN}")
    assert (first.attributes["http.response.status_code"], second.attributes["http.response.status_code"]) == (500, 200)
    assert second.links == [first.id]
    assert second.attributes["moontide.call.reason"] == "retried"


def test_a_repaired_answer_has_its_repairs(traced: Installation, collector: Collecting) -> None:
    with traced.client() as client:
        answered = client.chat.completions.with_raw_response.create(
            model="sim/k2-markers", messages=MESSAGES, tools=[WEATHER]
        )
        spans = spans_of(collector, answered.headers["X-Moontide-Request-Id"])

    (stage,) = (span for span in spans if span.name == "normalize")
    assert "moontide.repaired" in stage.names()
    assert stage.event("moontide.repaired").attributes["moontide.repaired.name"]


def test_a_callers_trace_goes_on(traced: Installation, collector: Collecting) -> None:
    with traced.client() as client:
        answered = client.chat.completions.with_raw_response.create(
            model="sim/text", messages=MESSAGES, extra_headers={"traceparent": PARENT}
        )
        request = spans_of(collector, answered.headers["X-Moontide-Request-Id"])[0]

    assert (request.trace_id, request.parent_id) == (PARENT[3:35], PARENT[36:52])


def test_a_trace_leads_to_its_record(traced: Installation, collector: Collecting) -> None:
    with traced.client() as client:
        answered = client.chat.completions.with_raw_response.create(model="sim/text", messages=MESSAGES)
        id = answered.headers["X-Moontide-Request-Id"]
        trace_id = spans_of(collector, id)[0].trace_id
    traced.recorded(id)

    assert id in traced.moontide("inspect", trace_id)
    assert trace_id in traced.moontide("inspect", id)


def test_how_many_were_sent_is_a_figure(traced: Installation, collector: Collecting) -> None:
    traced.chat("sim/text")

    def shown() -> str:
        text = ask(f"{traced.url}/metrics").body.decode()
        return text if 'moontide_traces_total{result="exported"' in text else ""

    assert 'moontide_spans_total{result="exported"' in until(shown, "the figure")


def test_what_is_left_is_sent_on_the_way_out(tmp_path: Path, simulator: Simulator) -> None:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(collecting()) as collector,
        installed(tmp_path, simulator, traces={"enabled": True, "endpoint": collector.url}) as moontide,
    ):
        ids = [moontide.chat("sim/text").id for _ in range(20)]
        moontide.stop()
        told = {span.attributes.get("moontide.request.id") for span in collector.spans}

    assert set(ids) <= told


def test_a_collector_that_is_away_is_no_clients_affair(tmp_path: Path, simulator: Simulator) -> None:
    with installed(tmp_path, simulator, traces={"enabled": True, "endpoint": "http://127.0.0.1:1"}) as moontide:
        answers = [moontide.chat("sim/text") for _ in range(20)]
        until(lambda: "recorder.waiting" in moontide.up.said, "a line that says so")

    assert [answer.status for answer in answers] == [200] * 20
    assert "it can't be reached" in moontide.up.said
