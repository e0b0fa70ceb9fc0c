"""An exchange's messages to spans."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.recorder.rules.exchange import hear
from services.recorder.rules.messages import read
from services.recorder.rules.spans import Finished, Span, trace_of
from services.recorder.rules.spans.conventions import provider_name, server
from services.recorder.rules.spans.span import TEXT_CHARACTERS
from shared.contracts import Cancel, Fault, HttpRequest, decode
from shared.traces import call_headers, context_of, parsed, span_id
from tests.fixtures.exchanges import BEGAN, INGRESS, MOONSHOT, NORMALIZER, UPSTREAM, Script, captured, plain, streamed

ID = "01KAJ1V2Q8Z6W3E9R5T7Y1B2C4"
HEIR = "normalizer-2"
ENFORCER = "enforcer-1"
DOWN = Fault(status=503, code="provider_unavailable", message="sk-not-to-be-seen said no")


def traced(script: Script, **parts: Any) -> list[Span]:
    return spans_of([read(one, "moontide")[1] for one in captured([script])], script.id, **parts)


def spans_of(messages: list[Any], id: str, **parts: Any) -> list[Span]:
    heard = hear(messages)
    assert heard.request is not None
    assert heard.done is not None
    context = context_of(id, heard.request.headers, 1.0)
    return trace_of(Finished(id=id, context=context, request=heard.request, done=heard.done, heard=heard, **parts))


def named(spans: list[Span], call: str, name: str = "") -> Span:
    return next(one for one in spans if one.attributes.get("moontide.call") == call and name in one.name)


def moments(span: Span) -> list[str]:
    return [moment.name for moment in span.moments]


def retried(id: str = ID) -> Script:
    """Two calls of one job: the first came to nothing."""
    script = Script(id).request(stream=True).sent("c1", stream=True)
    script.head("c1", status=503, to=NORMALIZER).end("c1", to=NORMALIZER, outcome="refused", fault=DOWN, usage=None)
    script.event("failed-over", "c2", after="c1", why="unavailable", code=DOWN.code, to="vertex/kimi", pause_s=0.1)
    script.sent("c2", stream=True, provider="vertex", url="https://vertex.example/v1/chat/completions")
    script.head("c2", to=NORMALIZER, provider="vertex").end("c2", to=NORMALIZER)
    script.end("c1", "normal", by=NORMALIZER, next_call="c2", outcome="refused", fault=DOWN)
    script.head("c2", "normal", by=NORMALIZER, provider="vertex").end("c2", "normal", by=NORMALIZER)
    return script.done(leg="c2.normal", streamed=True, calls=2)


def enforced(id: str = ID) -> Script:
    """Two turns of one answer."""
    script = Script(id).request(stream=True)
    for call in ("c1", "c2"):
        script.sent(call, stream=True)
        script.head(call, to=NORMALIZER).end(call, to=NORMALIZER)
        script.head(call, "normal", ENFORCER, NORMALIZER).end(call, "normal", ENFORCER, NORMALIZER)
    script.event("re-prompted", "c1", why="ensure_tool_call", attempt=1, of=3, provider="moonshot")
    script.event("invalid-call", "c2", tool="made_up", problem="schema", message="'my secret' is not of type integer")
    script.head("c0", "out", by=ENFORCER).end("c0", "out", by=ENFORCER, attempts=2)
    return script.done(leg="c0.out", streamed=True, attempts=2, calls=2)


def test_a_passed_through_request_is_two_spans() -> None:
    request, call = traced(plain(ID))

    assert (request.kind, request.name, request.worker) == ("server", "POST /v1/chat/completions", INGRESS)
    assert (call.kind, call.name, call.worker) == ("client", "chat kimi-k2.6", UPSTREAM)
    assert (request.parent_id, call.parent_id) == (None, request.id)
    assert (request.began_at, request.ended_at) == (BEGAN, BEGAN + 1)
    assert (call.began_at, call.ended_at) == (BEGAN + 0.01, BEGAN + 1)


def test_a_request_says_what_it_was_and_what_came_of_it() -> None:
    request, _ = traced(plain(ID), kinds={"moonshot": "moonshot"})

    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "url.path": "/v1/chat/completions",
        "url.scheme": "http",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "moonshot_ai",
        "gen_ai.request.model": "kimi-k2",
        "gen_ai.response.id": f"chatcmpl-{ID}",
        "gen_ai.response.model": "kimi-k2.6",
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "moontide.request.id": ID,
        "moontide.dialect": "openai_chat",
        "moontide.client": "tests",
        "moontide.outcome": "complete",
        "moontide.calls": 1,
        "moontide.attempts": 1,
    }


def test_a_call_says_who_was_asked_and_what_came_of_it() -> None:
    _, call = traced(plain(ID), kinds={"moonshot": "moonshot"})

    assert call.attributes.pop("moontide.cost_usd") > 0  # type: ignore[attr-defined]
    assert call.attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "server.address": "api.moonshot.ai",
        "server.port": 443,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "moonshot_ai",
        "gen_ai.request.model": "kimi-k2.6",
        "gen_ai.response.id": f"chatcmpl-{ID}",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "moontide.call": "c1",
        "moontide.call.number": 1,
        "moontide.provider": "moonshot",
        "moontide.outcome": "complete",
    }


def test_a_normalizer_stands_between_the_request_and_its_call_with_its_repairs() -> None:
    request, stage, call = traced(streamed(ID))

    assert (stage.kind, stage.name, stage.worker) == ("internal", "normalize", NORMALIZER)
    assert (stage.parent_id, call.parent_id) == (request.id, stage.id)
    assert [(one.name, one.attributes) for one in stage.moments] == [
        ("moontide.repaired", {"moontide.repaired.name": "tool_calls", "moontide.repaired.count": 1})
    ]
    assert (stage.began_at, stage.ended_at) == (call.began_at, BEGAN + 1)


def test_the_first_byte_is_a_moment_of_its_call_and_of_a_stream_an_attribute() -> None:
    _, _, call = traced(streamed(ID))

    assert [(one.name, one.at) for one in call.moments] == [("moontide.first-byte", call.began_at + 0.2)]
    assert call.attributes["gen_ai.response.time_to_first_chunk"] == 0.2
    assert call.attributes["gen_ai.request.stream"] is True


def test_each_call_is_a_span_that_says_why_it_was_made() -> None:
    spans = traced(retried())
    first, second = named(spans, "c1", "chat"), named(spans, "c2", "chat")

    assert (first.error, first.attributes["http.response.status_code"]) == ("provider_unavailable", 503)
    assert first.attributes["error.type"] == "provider_unavailable"
    assert (second.error, second.links) == (None, (first.id,))
    assert second.attributes["moontide.call.reason"] == "failed-over"
    assert second.attributes["moontide.call.why"] == "unavailable"
    assert second.attributes["moontide.provider"] == "vertex"
    assert (first.parent_id, second.parent_id) == (named(spans, "c1", "norm").id, named(spans, "c2", "norm").id)


def test_where_a_call_went_is_told_where_it_was_asked_for() -> None:
    (moment,) = named(traced(retried()), "c2", "normalize").moments

    assert moment.name == "moontide.failed-over"
    assert moment.attributes["moontide.failed-over.to"] == "vertex/kimi"


def test_a_call_that_goes_on_with_another_ones_text_is_the_same_normalizers() -> None:
    script = Script(ID).request().sent("c1").head("c1", to=NORMALIZER)
    script.end("c1", to=NORMALIZER, outcome="broken", fault=DOWN, next_call="c2", continued=True)
    script.sent("c2").head("c2", to=NORMALIZER).end("c2", to=NORMALIZER)
    script.head("c1", "normal", by=NORMALIZER).end("c1", "normal", by=NORMALIZER, last_call="c2")
    spans = traced(script.done(leg="c1.normal"))

    assert named(spans, "c2", "chat").parent_id == named(spans, "c1", "normalize").id
    assert named(spans, "c1", "chat").attributes["gen_ai.response.finish_reasons"] == ("stop",)


def test_an_answer_that_never_ended_has_the_finish_reason_error() -> None:
    script = plain(ID)
    script.messages = [one for one in script.messages if not one[0].endswith(".end")]
    script.end(outcome="broken", fault=DOWN, finish_reason=None)

    assert traced(script)[1].attributes["gen_ai.response.finish_reasons"] == ("error",)


def test_an_enforcer_stands_above_the_normalizers_of_its_attempts() -> None:
    spans = traced(enforced())
    request, whole = spans[:2]

    assert (whole.name, whole.parent_id, whole.attributes["moontide.attempts"]) == ("enforce", request.id, 2)
    for call in ("c1", "c2"):
        stage = named(spans, call, "normalize")
        assert (stage.parent_id, named(spans, call, "chat").parent_id) == (whole.id, stage.id)
    assert moments(whole) == ["moontide.re-prompted", "moontide.invalid-call"]


def test_what_is_wrong_with_a_call_is_told_without_its_words() -> None:
    whole = traced(enforced())[1]

    assert whole.moments[1].attributes == {"moontide.invalid-call.problem": "schema"}


def test_a_loop_and_its_end_are_told_on_the_call() -> None:
    script = streamed(ID)
    script.event("loop-found", "c1", choice=0, channel="content", start=10, period=5, repeats=9, kind="exact")
    script.event("stopped", "c1", by="sentinel", why="it loops", finish_reason="repeat", usage="estimated")
    call = named(traced(script), "c1", "chat")

    assert moments(call) == ["moontide.first-byte", "moontide.loop-found", "moontide.stopped"]
    assert call.moments[1].attributes["moontide.loop-found.repeats"] == 9
    assert call.moments[2].attributes["moontide.stopped.by"] == "sentinel"


@pytest.mark.parametrize("call", ["c9", None])
def test_what_belongs_to_no_call_that_is_known_is_told_on_the_request(call: str | None) -> None:
    request = traced(plain(ID).event("loop-found", call, start=1))[0]

    assert moments(request) == ["moontide.loop-found"]


def test_a_cancel_is_told_on_the_request_without_its_reason() -> None:
    script = plain(ID)
    script.say(f"moontide.req.{ID}.cancel", Cancel(by="operator", why="because of Bob"))
    (moment,) = traced(script)[0].moments

    assert (moment.name, moment.attributes) == ("moontide.cancel", {"moontide.cancel.by": "operator"})


def test_a_takeover_is_told_on_the_span_of_the_worker_that_went_on() -> None:
    script = Script(ID).request().sent().head(to=NORMALIZER).end(to=NORMALIZER)
    script.head(leg="normal", by=NORMALIZER)
    script.head(leg="normal", by=HEIR, takes_over=NORMALIZER).end(leg="normal", by=HEIR, takes_over=NORMALIZER)
    taken = {"stage": "normalize", "from": NORMALIZER, "to": HEIR, "frames": 1}
    spans = traced(script.event("taken-over", "c1", **taken).done(leg="c1.normal"))
    (moment,) = named(spans, "c1", "normalize").moments

    assert moment.name == "moontide.taken-over"
    assert moment.attributes["moontide.taken-over.from"] == NORMALIZER
    assert moment.attributes["moontide.taken-over.to"] == HEIR


def test_a_takeover_of_a_leg_that_nobody_made_is_told_on_the_request() -> None:
    assert moments(traced(plain(ID).event("taken-over", "c1", stage="watch"))[0]) == ["moontide.taken-over"]


def test_a_call_whose_worker_died_is_lost_and_the_next_one_is_linked_to_it() -> None:
    lost = Fault(status=502, code="worker_lost", message="it died")
    script = Script(ID).request().sent("c1").head("c1", to=NORMALIZER, by="upstream-1")
    ending = {"outcome": "lost", "fault": lost, "takes_over": "upstream-1", "next_call": "c2"}
    script.end("c1", to=NORMALIZER, by="upstream-2", **ending)
    script.sent("c2").head("c2", to=NORMALIZER, by="upstream-2").end("c2", to=NORMALIZER, by="upstream-2")
    script.head("c2", "normal", by=NORMALIZER).end("c2", "normal", by=NORMALIZER).done(leg="c2.normal")
    spans = traced(script)
    first, second = named(spans, "c1", "chat"), named(spans, "c2", "chat")

    assert (first.error, first.worker, second.worker) == ("worker_lost", "upstream-1", "upstream-2")
    assert second.links == (first.id,)


def test_a_call_of_which_nothing_more_was_heard_is_lost() -> None:
    call = traced(Script(ID).request().sent().done(leg=None))[1]

    assert (call.error, call.worker, call.attributes["moontide.outcome"]) == ("worker_lost", "upstream", "lost")
    assert call.ended_at == BEGAN + 1


def test_a_stage_without_an_end_is_lost_and_lasts_as_long_as_the_request() -> None:
    stage = traced(Script(ID).request().head(leg="normal", by=NORMALIZER).done(leg="c1.normal"))[1]

    assert (stage.error, stage.began_at, stage.ended_at) == ("worker_lost", BEGAN + 0.02, BEGAN + 1)


def test_a_stage_begins_with_what_was_said_of_the_way_before_its_call() -> None:
    spans = traced(retried())

    assert named(spans, "c2", "normalize").began_at == BEGAN < named(spans, "c2", "chat").began_at


def test_a_stage_that_is_known_by_its_bytes_alone_begins_with_the_request() -> None:
    stage = traced(Script(ID).request().data(b"a", leg="normal", by=NORMALIZER).done(leg="c1.normal"))[1]

    assert (stage.began_at, stage.ended_at) == (BEGAN, BEGAN + 1)


@pytest.mark.parametrize(
    ("status", "outcome", "error"),
    [
        (401, "refused", None),
        (503, "refused", "it"),
        (200, "broken", "it"),
        (200, "lost", "it"),
        (499, "cancelled", None),
    ],
)
def test_a_request_has_failed_where_it_was_not_the_clients_doing(status: int, outcome: str, error: str | None) -> None:
    fault = Fault(status=status, code="it", message="…")
    request = traced(Script(ID).request().done(status=status, outcome=outcome, fault=fault, leg=None))[0]

    assert (request.error, request.attributes["error.type"]) == (error, "it")


def test_a_call_that_was_cancelled_or_stopped_has_not_failed() -> None:
    for outcome in ("cancelled", "stopped"):
        script = Script(ID).request().sent().head().end(outcome=outcome, fault=DOWN).done()
        assert traced(script)[1].error is None


def test_a_failure_without_a_fault_is_called_by_its_outcome() -> None:
    assert traced(Script(ID).request().sent().head().end(outcome="truncated").done())[1].error == "truncated"


def test_a_request_of_another_dialect_is_a_chat_too() -> None:
    script = Script(ID).request(path="/v1/messages?beta=true", dialect="anthropic_messages").sent("c0").sent("c1")
    request, call = traced(script.head().end().done())

    assert (request.name, request.attributes["url.path"]) == ("POST /v1/messages", "/v1/messages")
    assert call.name == "chat kimi-k2.6"


def test_what_is_passed_through_is_called_by_what_is_known_of_it() -> None:
    embeddings = Script(ID).request(path="/v1/embeddings?a=b", dialect="passthrough", model="bge").sent(model=None)
    files = Script(ID).request(path="/v1/files/f-1", method="GET", dialect="passthrough", model=None)
    files.sent(model=None, method="GET", url="https://api.moonshot.ai/v1/files/f-1").head(model=None)

    assert [one.name for one in traced(embeddings.head(model=None).end().done())] == [
        "POST /v1/embeddings",
        "embeddings bge",
    ]
    request, call = traced(files.end(finish_reason=None, completion_id=None, usage=None).done())
    assert (request.name, call.name) == ("GET", "GET")
    assert "http.route" not in request.attributes
    assert "gen_ai.operation.name" not in call.attributes


def test_a_method_that_somebody_made_up_is_one_of_few_names() -> None:
    script = Script(ID).request(method="BREW", path="/v1/pot", dialect="passthrough").sent(method="BREW", model=None)
    request, call = traced(script.head(model=None).end().done())

    assert (request.name, call.name, call.attributes["http.request.method"]) == ("_OTHER", "_OTHER", "_OTHER")


def test_a_callers_span_is_the_requests_parent() -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    spans = traced(Script(ID).request(headers={"traceparent": parent}).done(leg=None))

    assert spans[0].parent_id == 0x00F067AA0BA902B7
    assert spans[0].context.trace_id == 0x4BF92F3577B34DA6A3CE929D0E0E4736


def test_a_call_has_the_span_that_its_provider_is_told_of() -> None:
    told = parsed(call_headers(ID, "c1", {}, 1.0)["traceparent"])

    assert told is not None
    assert traced(plain(ID))[1].id == told[1] == span_id(ID, "c1")


@pytest.mark.parametrize(
    ("name", "kind", "url", "known"),
    [
        ("mine", "moonshot", MOONSHOT, "moonshot_ai"),
        ("mine", "vertex", "", "gcp.vertex_ai"),
        ("mine", "openai", "https://api.openai.com/v1", "openai"),
        ("mine", "openai", "http://127.0.0.1:8000/v1", "mine"),
        ("mine", None, "", "mine"),
        (None, None, "", None),
    ],
)
def test_a_provider_is_called_as_others_know_it(name: str | None, kind: str | None, url: str, known: str) -> None:
    assert provider_name(name, kind, url) == known


@pytest.mark.parametrize(
    ("url", "address", "port"),
    [("https://a.b/c", "a.b", 443), ("http://a.b:8000", "a.b", 8000), ("http://[", None, None), ("ws://a", "a", None)],
)
def test_a_servers_address_is_taken_from_the_url(url: str, address: str | None, port: int | None) -> None:
    assert server(url) == {"server.address": address, "server.port": port}


def test_texts_of_others_are_short_and_hold_no_key() -> None:
    script = Script(ID).request(model="sk-abcdefghijkl" + "x" * 1000, path="/v1/chat/completions").done(leg=None)
    model = str(traced(script)[0].attributes["gen_ai.request.model"])

    assert "sk-abc" not in model
    assert len(model) <= TEXT_CHARACTERS


def test_texts_can_be_taken_out() -> None:
    script = retried()
    redacted = [span.texts_as(lambda text: text.replace("kimi", "…")) for span in traced(script)]

    assert "kimi" not in repr(redacted)
    assert "kimi" in repr(traced(script))


def everything() -> Script:
    """Every kind of message, with words that must not get out."""
    script = enforced()
    for name in ("routed", "retried", "continued", "exhausted", "cancelled", "dropped", "deleted", "made-up"):
        script.event(name, "c2", why="x", words="my secret", targets=["a/b"], fields={"my secret": "why"})
    return script.cancel()


def test_no_word_that_was_said_is_told() -> None:
    told = repr(traced(everything()))

    assert "my secret" not in told
    assert "made_up" not in told
    assert "hi" not in [value for span in traced(everything()) for value in span.attributes.values()]
    assert "sk-not-to-be-seen" not in repr(traced(retried()))


SCRIPTS = [plain(ID), streamed(ID), retried(), enforced(), everything()]


@settings(max_examples=200)
@given(data=st.data(), script=st.sampled_from(SCRIPTS))
def test_whatever_is_missing_and_in_whatever_order_spans_make_one_tree(data: st.DataObject, script: Script) -> None:
    messages = [read(one, "moontide")[1] for one in captured([script])]
    needed = [one for one in messages if one.kind == "done" or (one.kind == "request" and not one.call)]
    rest = [one for one in messages if one not in needed]
    kept = data.draw(st.lists(st.sampled_from(rest), unique_by=lambda one: one.seq))
    spans = spans_of([*kept, *needed], ID)

    ids = [span.id for span in spans]
    assert len(set(ids)) == len(ids)
    assert spans[0].parent_id is None
    for number, span in enumerate(spans[1:], 1):
        assert span.parent_id in ids[:number]
        assert set(span.links) <= set(ids[:number])
    assert all(span.ended_at >= span.began_at for span in spans)
    assert all(isinstance(value, str | int | float | tuple) for span in spans for value in span.attributes.values())


@settings(max_examples=50)
@given(data=st.data(), script=st.sampled_from(SCRIPTS))
def test_the_same_messages_make_the_same_spans(data: st.DataObject, script: Script) -> None:
    messages = [read(one, "moontide")[1] for one in captured([script])]
    shuffled = data.draw(st.permutations(messages))

    assert spans_of(shuffled, ID) == spans_of(messages, ID)


def test_every_request_that_was_sent_is_a_span_and_no_other() -> None:
    for script in SCRIPTS:
        sent = [decode(HttpRequest, data) for subject, data, _ in script.messages if subject.endswith(".request")]
        calls = [span for span in traced(script) if span.kind == "client"]
        assert len(calls) == len(sent) - 1
        assert all(one.name for one in itertools.chain(calls))
