"""One turn of the model, over as many calls as it takes: the bytes of each call's normal leg to those of the answer.

`feed` and `ended` for each call in its turn; what `ended` gives says whether another one follows. Streams go out as
they come. A plain answer, or a stream in `buffer` mode, is the last attempt alone, so nothing goes out before its end.
docs/agents.md tells the rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from services.enforcer.rules import asking
from services.enforcer.rules.attempt import FINAL, NOTHING, Looping
from services.enforcer.rules.calls import Call, Invalid, unreadable
from services.enforcer.rules.demand import Demand, prepared
from services.enforcer.rules.message import SEPARATOR, Message
from services.enforcer.rules.reading import Heard, Reading
from services.enforcer.rules.request import Request
from services.enforcer.rules.steps import Again, Last, Step, Wanting, Why
from services.enforcer.rules.voice import Voice
from shared.contracts import End, RepeatSettings, Usage
from shared.prefixes import Prefix
from shared.unmet import unmet_mark
from shared.usage import added
from shared.whole_answers import DONE, as_stream

FINISHED = (None, "stop", "tool_calls", "function_call")
"""Finish reasons of a turn that the model has ended itself. Asking again would not help any other one."""


class Turn:
    def __init__(self, request: Request, demand: Demand, *, streamed: bool) -> None:
        self._demand = demand
        self._request = prepared(request, demand)  # grows with each attempt
        self._buffers = not streamed or (demand.ensure is not None and demand.ensure.mode == "buffer")
        self._streamed = streamed
        self._tells_usage = not streamed or request.tells_usage
        self._message = Message()
        self._voice = Voice(self._message, mute=self._buffers)
        self.spent: Usage | None = None  # by the calls before this one
        self._contents: list[str] = []  # of attempts that failed
        self._failed: tuple[Reading, Prefix, Why] | None = None  # the last of them
        self._loops = 0
        self._prefix = NOTHING  # what this call goes on from
        self._begin()

    @property
    def body(self) -> bytes:
        """What the first call is asked."""
        return self._request.body()

    @property
    def retry(self) -> RepeatSettings | None:
        return self._demand.retry

    @property
    def attempts(self) -> int:
        """How often was asked, for whatever reason."""
        return self._voice.attempt + self._loops

    @property
    def looping(self) -> Looping | None:
        """The loop that this call is in: the sooner it is ended, the less it costs."""
        return self._call.attempt.looping

    def _begin(self) -> None:
        """Nothing of the next call is known."""
        says_again = not self._buffers and self._prefix == NOTHING
        self._call = Reading(self._demand, self._contents if says_again else (), self._prefix)

    # -- one call

    def feed(self, data: bytes) -> bytes:
        return self._said(self._call.feed(data))

    def feed_whole(self, body: bytes) -> bytes:
        """An answer that came as one body; raises ValueError where it is none."""
        return self.feed(as_stream(body))

    def void(self, end: End) -> None:
        """The call came to nothing, and another one answers from the beginning."""
        self._spend(end)
        self._begin()

    def _said(self, heard: Iterable[Heard]) -> bytes:
        return b"".join(map(self._voice.say, heard))

    def _spend(self, end: End) -> None:
        self.spent = self.total(end)

    def total(self, end: End) -> Usage | None:
        """The tokens of all calls, when one has ended so."""
        return end.usage if self.spent is None else added(self.spent, end.usage)

    # -- and what comes of it

    def ended(self, end: End) -> Step:
        out = self._said(self._call.finish())
        if not end.is_well_formed:
            return self._failing(out, end)
        repeat = self._demand.retry
        if repeat is not None and (self.looping is not None or end.outcome == "stopped"):
            return self._looped(out, end, repeat)
        out += self._voice.parts(self._call.attempt.finish())
        wanting = self._wanting(end)
        if wanting is not None and self._voice.attempt < wanting.most:
            return self._again(out, end, wanting)
        return self._last(out, end, wanting)

    def _wanting(self, end: End) -> Wanting | None:
        """What keeps the turn from being as it should; None where nothing does."""
        call, demand = self._call, self._demand
        call.reason = call.reason or end.finish_reason
        if end.outcome == "stopped" or call.reason not in FINISHED or call.attempt.has_other:
            return None
        calls, (content, reasoning) = call.attempt.client_calls, self._texts_so_far()
        if demand.check is not None:
            invalid, lost = self._invalid(calls), unreadable(end.repairs)
            if invalid or lost:
                messages = asking.with_invalid_calls(content, reasoning, calls, invalid, unreadable=bool(lost))
                found = (*invalid.values(), *lost)
                return Wanting("check_tool_calls", demand.check.max_attempts, messages, found)
        if demand.ensure is not None and not calls and not call.attempt.is_terminated:
            messages = asking.without_call(content, reasoning, demand)
            return Wanting("ensure_tool_call", demand.ensure.max_attempts, messages)
        return None

    def _invalid(self, calls: list[Call]) -> dict[int, Invalid]:
        judged = {at: call.invalid(self._demand.schemas) for at, call in enumerate(calls)}
        return {at: invalid for at, invalid in judged.items() if invalid is not None}

    def _texts_so_far(self) -> tuple[str, str]:
        """Content and reasoning of this attempt, also of the calls that it went on from."""
        attempt, prefix = self._call.attempt, self._prefix
        return prefix.content + attempt.text("content"), prefix.reasoning + attempt.text("reasoning_content")

    def _again(self, out: bytes, end: End, wanting: Wanting) -> Again:
        self._failed = (self._call, self._prefix, wanting.why)
        self._contents.append(self._texts_so_far()[0])
        self._spend(end)
        self._request = self._request.followed_by(wanting.messages)
        self._voice.attempt += 1
        self._voice.segment += 1
        self._prefix = NOTHING
        self._begin()
        body, attempt = self._request.body(), self._voice.attempt
        return Again(why=wanting.why, out=out, body=body, attempt=attempt, most=wanting.most, invalid=wanting.invalid)

    # loops

    def _looped(self, out: bytes, end: End, repeat: RepeatSettings) -> Step:
        looping = self.looping
        prefix = self._good_prefix()
        restarts = self._buffers or not (self._message.has_content or self._message.calls)
        continues = self._demand.continues and prefix != NOTHING
        if self._loops + 1 >= repeat.max_attempts or not (continues or restarts):
            self._prefix = prefix
            return self._stopped(out, end, repeat)
        self._loops += 1
        self._spend(end)
        self._prefix = prefix if continues else NOTHING
        self._voice.segment += 0 if continues else 1
        self._begin()
        request = self._request.shaken(self._loops)
        return Again(
            why="loop",
            out=out,
            body=(request.going_on(prefix) if continues else request).body(),
            has_prefix=continues,
            attempt=self._loops + 1,
            most=repeat.max_attempts,
            looping=looping,
        )

    def _good_prefix(self) -> Prefix:
        """What was said before the loop; of what the client has nothing can be taken back."""
        attempt, looping = self._call.attempt, self.looping
        content, reasoning = self._texts_so_far()
        texts = {"content": content, "reasoning_content": reasoning, FINAL: attempt.text(FINAL)}
        if self._buffers and looping is not None and looping.channel in texts:
            texts[looping.channel] = texts[looping.channel][: looping.loop.start]
        return Prefix(_joined(texts["content"], texts[FINAL]), texts["reasoning_content"])

    def _stopped(self, out: bytes, end: End, repeat: RepeatSettings) -> Last:
        """All attempts ran in a loop: what was good of the last, well-formed."""
        if self._buffers:
            out += self._texts(self._prefix.content, self._prefix.reasoning)
        reason = repeat.finish_reason
        return self._closed(end, Last(out=out, outcome="stopped", finish_reason=reason, unmet="loop"))

    # the end

    def _last(self, out: bytes, end: End, wanting: Wanting | None = None) -> Last:
        calls = self._call.attempt.client_calls
        if self._buffers:
            out += self._whole()
        if self._buffers or self._call.attempt.holds_calls:
            out += b"".join([self._message.call(self._voice.attempt, at, call, "") for at, call in enumerate(calls)])
        last = Last(out=out, outcome=end.outcome, finish_reason=self._final_reason(calls))
        if wanting is not None:
            last = replace(last, unmet=wanting.why, invalid=wanting.invalid)
        return self._closed(end, last)

    def _final_reason(self, calls: list[Call]) -> str:
        reason = self._call.reason
        if reason is not None and reason not in FINISHED:
            return reason
        return "tool_calls" if calls else "stop"

    def _whole(self) -> bytes:
        """The texts of the last attempt; where it only ends the turn, of the one before it."""
        attempt = self._call.attempt
        content, reasoning = self._texts_so_far()
        final = attempt.text(FINAL)
        content = content if final.strip() == content.strip() else _joined(content, final)
        if not content and not attempt.client_calls:
            content = next((text for text in reversed(self._contents) if text), "")
        return self._texts(content, reasoning)

    def _texts(self, content: str, reasoning: str) -> bytes:
        return self._message.text("reasoning_content", reasoning, 0) + self._message.text("content", content, 0)

    def _closed(self, end: End, last: Last) -> Last:
        """With everything that an answer ends with."""
        mark = unmet_mark(last.unmet, self.attempts) if self._streamed else {}
        out = last.out + self._message.finish(last.finish_reason or "stop", self._call.extra, self.spent, mark)
        if self._call.told is not None or self._tells_usage:
            out += self._message.usage(self._call.told, self.spent, self.total(end))
        return replace(last, out=out + DONE)

    def _failing(self, out: bytes, end: End) -> Last:
        """The call failed. One that was refused leaves the answer that was there before it."""
        repeat = self._demand.retry
        whole = msgspec.structs.replace(end, outcome="complete", usage=None)
        if end.outcome == "refused" and repeat is not None and self._loops:
            return self._stopped(out, whole, repeat)
        if end.outcome == "refused" and self._failed is not None:
            self._call, self._prefix, why = self._failed
            self._call.told = None  # its tokens are among those spent
            self._call.extra.pop("usage", None)
            return self._last(out, whole, Wanting(why, 0, []))
        return Last(out=out + self._voice.parts(self._call.attempt.finish()), outcome=end.outcome)


def _joined(content: str, final: str) -> str:
    return SEPARATOR.join(text for text in (content, final) if text)
