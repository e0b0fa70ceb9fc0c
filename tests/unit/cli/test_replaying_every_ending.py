"""Whatever became of an exchange, it is played as it was: breaks, continued streams, silence, clients that left."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from services.cli.main import main
from services.cli.replaying.recording import Answered, Asked, Data, Piece, Recording, Spoken, Treated
from services.cli.replaying.stage import play
from services.recorder.store import Store
from shared.contracts import Body, Cancel, Fault, Timeouts
from shared.jobs import cancelled
from shared.records.told import Told
from tests.fixtures.exchanges import INGRESS, NORMALIZER, Script, captured
from tests.fixtures.recording import FEED, record, url_in

STREAM = "text/event-stream"
DONE = b"data: [DONE]\n\n"
LEFT = cancelled(Cancel(by="client", why="the client closed its connection"))


def chunk(finish: str | None = None, **delta: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    value = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "kimi-k2",
        "choices": [choice],
    }
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def asked(script: Script, **fields: Any) -> Script:
    body = msgspec.json.encode(
        {"model": "kimi-k2", "stream": True, "messages": [{"role": "user", "content": "hi"}], **fields}
    )
    return script.request(Body(json=msgspec.Raw(body), size=len(body)), stream=True).sent(stream=True)


def streamed(script: Script, *pieces: bytes, call: str = "c1", **end: Any) -> Script:
    script.head(call, to=NORMALIZER, content_type=STREAM)
    for piece in pieces:
        script.data(piece, call, to=NORMALIZER)
    return script.end(call, to=NORMALIZER, **end)


def told(script: Script, *pieces: bytes, leg: str = "c1", **done: Any) -> Script:
    """What the client got, and how it ended."""
    script.head(leg, "normal", by=NORMALIZER, to=INGRESS, content_type=STREAM)
    script.data(b"".join(pieces), leg, "normal", by=NORMALIZER)
    script.end(leg, "normal", by=NORMALIZER, **{"outcome": done["outcome"]} if "outcome" in done else {})
    return script.done(leg=f"{leg}.normal", streamed=True, headers={"content-type": STREAM}, **done)


def broken(id: str) -> Script:
    """In the middle, and nobody could go on."""
    fault = Fault(status=502, code="provider_broken", message="The provider moonshot broke off.")
    script = streamed(asked(Script(id)), chunk(content="Once upon"), outcome="broken", fault=fault)
    return told(script, chunk(content="Once upon"), outcome="broken", fault=fault)


def continued(id: str) -> Script:
    """c1 broke, c2 went on with its text."""
    fault = Fault(status=502, code="provider_broken", message="broke")
    script = streamed(
        asked(Script(id)), chunk(content="Once upon "), outcome="broken", fault=fault, next_call="c2", continued=True
    )
    rest = (chunk(content="a time"), chunk("stop"), DONE)
    streamed(script.sent("c2", stream=True, same_body=False), *rest, call="c2")
    return told(script, chunk(content="Once upon "), *rest, calls=2)


def timed_out(id: str) -> Script:
    """c1 said nothing at all, c2 answered."""
    fault = Fault(status=504, code="provider_first_byte_timeout", message="The provider sent nothing for 300 s.")
    script = asked(Script(id))
    script.end(to=NORMALIZER, outcome="refused", fault=fault, next_call="c2", first_byte_s=None)
    rest = (chunk(content="late"), chunk("stop"), DONE)
    script.sent("c2", provider="other", stream=True).head("c2", to=NORMALIZER, provider="other", content_type=STREAM)
    for piece in rest:
        script.data(piece, "c2", to=NORMALIZER)
    return told(script.end("c2", to=NORMALIZER), *rest, leg="c2", calls=2)


def fell_silent(id: str) -> Script:
    fault = Fault(status=504, code="provider_idle_timeout", message="The provider moonshot sent nothing for 120 s.")
    script = streamed(asked(Script(id)), chunk(content="Once"), outcome="broken", fault=fault)
    return told(script, chunk(content="Once"), outcome="broken", fault=fault)


def ran_out(id: str) -> Script:
    fault = Fault(status=504, code="provider_total_timeout", message="The provider moonshot took longer than 3600 s.")
    script = streamed(asked(Script(id)), chunk(content="Once"), outcome="broken", fault=fault)
    return told(script, chunk(content="Once"), outcome="broken", fault=fault)


def left(id: str) -> Script:
    script = streamed(asked(Script(id)), chunk(content="Once"), chunk(content=" upon"), outcome="cancelled", fault=LEFT)
    return told(script, chunk(content="Once"), chunk(content=" upon"), outcome="cancelled", fault=LEFT)


def left_at_once(id: str) -> Script:
    script = asked(Script(id)).end(to=NORMALIZER, outcome="cancelled", fault=LEFT, first_byte_s=None)
    return script.done(status=499, leg=None, outcome="cancelled", fault=LEFT)


def messages(id: str) -> Script:
    """A client of Anthropic's dialect, a provider of it."""
    body = b'{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'
    answer = (
        b'{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":"ho"}],'
        b'"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}'
    )
    kept = Body(json=msgspec.Raw(body), size=len(body))
    script = Script(id).request(kept, path="/v1/messages", dialect="anthropic_messages", model="claude-x")
    script.sent(provider="anthropic", model="claude-x", url="https://api.anthropic.com/v1/messages")
    script.head(to=NORMALIZER, content_type="application/json")
    script.data(b"{}", to=NORMALIZER).data(answer, leg="wire", to="-").end(to=NORMALIZER)
    shown = Body(data=answer, size=len(answer))
    return script.done(leg=None, body=shown, headers={"content-type": "application/json"})


def responses(id: str) -> Script:
    """A client of the Responses dialect, a provider of chat completions."""
    body = b'{"model":"kimi-k2","input":"hi"}'
    answer = (
        b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"kimi-k2","choices":[{"index":0,'
        b'"finish_reason":"stop","message":{"role":"assistant","content":"ho"}}]}'
    )
    shown = (
        b'{"id":"resp_1","object":"response","status":"completed","output":[{"type":"message","role":"assistant",'
        b'"content":[{"type":"output_text","text":"ho"}]}]}'
    )
    kept = Body(json=msgspec.Raw(body), size=len(body))
    script = Script(id).request(kept, path="/v1/responses", dialect="openai_responses").sent(same_body=False)
    script.head(to=NORMALIZER, content_type="application/json").data(answer, to=NORMALIZER).end(to=NORMALIZER)
    shown_body = Body(data=shown, size=len(shown))
    return script.done(leg=None, body=shown_body, headers={"content-type": "application/json"})


@pytest.fixture
def replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Records an exchange, plays it without waiting, and gives back what was shown."""
    monkeypatch.setenv("MOONTIDE_RECORDS_URL", url_in(tmp_path))
    monkeypatch.setenv("MOONTIDE_HOME", str(tmp_path))

    def run(script: Script, *flags: str) -> dict[str, Any]:
        store = Store.open(url_in(tmp_path), FEED)
        record(store, captured([script]))
        store.close()
        flags = flags or ("--fast",)
        arguments = ["replay", script.id, "--recorded", "--json", *flags]
        shown: dict[str, Any] = json.loads(CliRunner().invoke(main, arguments, catch_exceptions=False).stdout)
        return shown

    return run


Replayed = Callable[..., dict[str, Any]]


def content(account: dict[str, Any]) -> str:
    return str(account["told"]["choices"][0].get("content", ""))


def test_a_broken_stream_breaks_again_and_ends_in_an_error(replayed: Replayed) -> None:
    now = replayed(broken("BROKEN"))["now"]

    assert (now["outcome"], now["calls"], content(now)) == ("broken", 1, "Once upon")
    assert now["told"]["error"]


def test_a_continued_stream_is_continued_again(replayed: Replayed) -> None:
    shown = replayed(continued("CONTINUED"))

    assert (shown["now"]["calls"], shown["now"]["outcome"]) == (2, "complete")
    assert content(shown["now"]) == content(shown["then"]) == "Once upon a time"


def test_a_provider_that_never_answered_is_given_up_again(replayed: Replayed) -> None:
    shown = replayed(timed_out("SILENT"))

    assert (shown["now"]["calls"], content(shown["now"]), shown["same"]) == (2, "late", True)


def test_a_provider_that_fell_silent_is_given_up_as_such(replayed: Replayed) -> None:
    now = replayed(fell_silent("IDLE"))["now"]

    assert (now["outcome"], content(now)) == ("broken", "Once")
    assert now["told"]["error"]["code"] == "provider_idle_timeout"


def test_a_provider_that_spoke_until_its_time_was_up_is_given_up_for_that(replayed: Replayed) -> None:
    now = replayed(ran_out("TOTAL"))["now"]

    assert (now["outcome"], content(now)) == ("broken", "Once")
    assert now["told"]["error"]["code"] == "provider_total_timeout"


def test_a_client_that_left_leaves_again_with_what_it_had(replayed: Replayed) -> None:
    shown = replayed(left("LEFT"))

    assert shown["now"]["outcome"] == shown["then"]["outcome"] == "cancelled"
    assert content(shown["now"]) == content(shown["then"]) == "Once upon"


def test_a_client_that_left_before_any_answer_leaves_again(replayed: Replayed) -> None:
    shown = replayed(left_at_once("LEFT"))

    assert (shown["now"]["status"], shown["now"]["outcome"], shown["same"]) == (499, "cancelled", True)


@pytest.mark.parametrize("script", [messages, responses])
def test_other_dialects_are_played_in_their_own_words(script: Callable[[str], Script], replayed: Replayed) -> None:
    shown = replayed(script("DIALECT"))

    assert (shown["now"]["status"], shown["now"]["calls"]) == (200, 1)
    assert content(shown["now"]) == content(shown["then"]) == "ho"
    assert shown["now"]["told"]["choices"][0]["finish_reason"] == shown["then"]["told"]["choices"][0]["finish_reason"]


async def test_speed_divides_the_recorded_times() -> None:
    pieces = [Piece(0, Data.of(chunk(content="a"))), Piece(2_000_000, Data.of(chunk("stop") + DONE))]
    call = Answered("c1", "p", None, "complete", headers={"content-type": STREAM}, first_byte_s=2.0, pieces=pieces)
    body = Data.of(b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}')
    recording = Recording(
        id="SPEED",
        asked=Asked("POST", "/v1/chat/completions", {"content-type": "application/json"}, body),
        calls=[call],
        providers={"p": Spoken("openai")},
        model=Treated("m"),
        force_stream=False,
        status=200,
        told=Told(),
    )

    began = time.monotonic()
    played = await play(recording, speed=10)
    took_s = time.monotonic() - began

    assert played.first_byte_s is not None
    assert played.total_s is not None
    assert played.first_byte_s >= 0.2
    assert played.total_s >= 0.4
    assert took_s < 4.0


async def test_a_silence_lasts_as_long_as_todays_limit_at_the_speed_of_the_play() -> None:
    call = Answered("c1", "p", None, "silent")
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
    recording = Recording(
        id="SILENT",
        asked=Asked("POST", "/v1/chat/completions", {}, Data.of(body)),
        calls=[call],
        providers={"p": Spoken("openai", timeouts=Timeouts(first_byte_s=2.0))},
        model=Treated("m"),
        force_stream=False,
        status=504,
        told=Told(),
    )

    played = await play(recording, speed=10)

    assert played.status == 504
    assert (played.told.error or {})["message"].startswith("The provider p sent nothing for 0.2 s")
