"""One choice of an answer: deltas in, repaired deltas out.

It knows nothing of SSE, JSON events or completions; `stream.py` and `plain.py` bring those. A delta that goes
out is a dict with one of `content`, `reasoning_content` and `tool_calls`, never two of them.
"""

from __future__ import annotations

from typing import Any, Literal

from services.normalizer.facts import RequestFacts
from services.normalizer.limits import LOOK_AHEAD_CHARS, MAX_HELD_REASONING_CHARS
from services.normalizer.rules.catalog import Repairs
from services.normalizer.rules.desk import CallDesk, Given, ToolCall
from services.normalizer.rules.fields import Delta, calls_of, content_of, left_alone, reasoning_of
from services.normalizer.rules.finish import final_reason, said_reason
from services.normalizer.rules.grammar import Mode, RawCall
from services.normalizer.rules.grammars.think_tags import ORPHAN_REPAIRS
from services.normalizer.rules.ids import IdMaker
from services.normalizer.rules.offer import ToolOffer
from services.normalizer.rules.pieces import Piece, Seams
from services.normalizer.rules.spacing import TRIM_CHARS, Seam
from services.normalizer.rules.structured import Step, StructuredCalls
from services.normalizer.rules.surrogates import Halves
from services.normalizer.rules.text import TextScanner

Thinking = Literal["auto", "forced_open", "disabled"]
Deltas = list[dict[str, Any]]

_PLACEHOLDER = "(no content)"
_CLOSERS = ("</think", "◁/think", "<|close|>think")


class ChoiceRepair:
    """The state of one choice."""

    def __init__(
        self,
        facts: RequestFacts,
        offer: ToolOffer,
        thinking: Thinking,
        ids: IdMaker,
        repairs: Repairs,
        *,
        whole: bool = False,
    ) -> None:
        """`whole` where the message comes in one piece, so that looking ahead costs nothing."""
        self.finish_reason: Any = None  # the provider's own word for it, of whatever type
        self._facts = facts
        self._offer = offer
        self._repairs = repairs
        self._whole = whole
        self._thinking: Thinking = thinking
        self._desk = CallDesk(offer, ids, repairs)
        self._structured = StructuredCalls(offer, repairs, self._desk.may_stream)
        self._seams = Seams(Seam(), Seam())
        self._reasoning = TextScanner("reasoning", self._seams, offer, repairs, "thought", self._desk)
        self._content: TextScanner | None = None  # until it is known how the content begins
        self._ahead = ""
        self._halves = {"content": Halves(), "reasoning": Halves()}
        self._reasoned = False
        self._held_reasoning: list[str] = []
        self._held_chars = 0
        self._holds_reasoning = thinking == "disabled" and repairs.on("answer_from_reasoning")
        self._index = 0
        self._unfinished = False  # a call went out in part, and its end never came

    # in

    def passes(self, content: Any, reasoning: Any) -> bool:
        """Whether a piece of one of the two texts goes out just as it is; then it counts as fed."""
        if self._holds_reasoning:
            return False
        scanner, mode, text = self._content, "answer", content
        if content is None:
            scanner, mode, text = self._reasoning, "thought", reasoning
        return scanner is not None and scanner.mode == mode and type(text) is str and scanner.passes(text)

    def feed(self, delta: Delta) -> Deltas:
        """What goes out after a delta."""
        out = self._reason(reasoning_of(delta, self._repairs))
        out += self._answer(content_of(delta, self._repairs))
        out += left_alone(delta, self._repairs)
        calls = calls_of(delta, self._repairs)
        if self._whole:
            out += self._end_texts(called=bool(calls))
        return out + self._call(calls) if calls else out

    def finish(self) -> tuple[Deltas, Any]:
        """What goes out at the end, and the finish reason."""
        out = self._halves_left()
        out += self._pieces(self._reasoning.finish())
        closed = said_reason(self.finish_reason) in ("stop", "tool_calls")
        calls = self._structured.finish(closed)
        content, begun = self._begun_content()
        out += begun
        out += self._pieces(content.finish(bool(calls) or self._desk.passed > 0, self._cut))
        for step in calls:
            out += self._structured_step(step)
        out += self._answer_from_reasoning()
        given = "length" if self._unfinished else self.finish_reason
        return out, final_reason(given, self._desk.passed > 0, self._repairs)

    @property
    def _cut(self) -> bool:
        """Whether the provider says that the answer was cut off."""
        return said_reason(self.finish_reason) in ("length", "content_filter")

    def _end_texts(self, *, called: bool) -> Deltas:
        """What is left of the two texts of a whole message, whose calls come after those that stand in its text."""
        out = self._halves_left()
        out += self._pieces(self._reasoning.finish())
        content, begun = self._begun_content()
        out += begun
        out += self._pieces(content.finish(called, self._cut))
        return out

    def break_off(self) -> Deltas:
        """What is safe to send of what is held back, when the provider broke down."""
        out = self._halves_left()
        out += self._pieces(self._reasoning.break_off())
        content, begun = self._begun_content()
        out += begun
        out += self._pieces(content.break_off())
        for _ in (step for step in self._structured.finish(closed=False) if step.live is None):
            self._repairs.make("incomplete_call_dropped")
        return out + self._flush_reasoning()

    # reasoning

    def _reason(self, text: str) -> Deltas:
        if not text:
            return []
        content, out = self._begun_content(reasoned=True)
        self._reasoned = content.reasoned = True
        return out + self._pieces(self._reasoning.feed(self._joined("reasoning", text)))

    # content

    def _answer(self, text: str) -> Deltas:
        if not text:
            return []
        text = self._joined("content", text)
        out = self._pieces(self._reasoning.settle(called=False))
        if self._content is None:
            self._ahead += text
            mode = self._opening_mode(over=False) if self._ahead else None
            return out if mode is None else out + self._open_content(mode)[1]
        return out + self._pieces(self._content.feed(text))

    def _begun_content(self, *, reasoned: bool = False) -> tuple[TextScanner, Deltas]:
        """The content's scanner, even if it is not clear how the content begins; and what was held back for that."""
        if self._content is not None:
            return self._content, []
        return self._open_content(self._opening_mode(over=True) or "answer", reasoned=reasoned)

    def _open_content(self, mode: Mode, *, reasoned: bool = False) -> tuple[TextScanner, Deltas]:
        ahead, self._ahead = self._ahead, ""
        content = TextScanner("content", self._seams, self._offer, self._repairs, mode, self._desk)
        content.reasoned = self._reasoned or reasoned
        self._content = content
        if mode == "thought":
            self._seams.reasoning.part()
        return content, self._pieces(content.feed(ahead)) if ahead else []

    def _opening_mode(self, over: bool) -> Mode | None:
        """Whether the content begins with thoughts; None while that is open. `over` where nothing more may
        be waited for."""
        if self._reasoned or not all(map(self._repairs.on, ORPHAN_REPAIRS)):
            return "answer"
        if self._thinking == "forced_open":
            if self._ahead:
                self._repairs.make("reasoning_from_orphan_close")
            return "thought" if self._ahead else "answer"
        waits = self._looks_ahead()
        if waits and self._closes_unopened():
            self._repairs.make("reasoning_from_orphan_close")
            return "thought"
        open_still = waits and not over and (self._whole or len(self._ahead) < LOOK_AHEAD_CHARS)
        return None if open_still else "answer"

    def _looks_ahead(self) -> bool:
        """Whether the content may begin with thoughts that nothing opened: with a whole message always, in a
        stream where thoughts are expected, or where it begins with a placeholder."""
        if self._whole or self._facts.thinking == "enabled":
            return True
        start = self._ahead.lstrip()[: len(_PLACEHOLDER)]
        blank = len(self._ahead) - len(self._ahead.lstrip())
        return blank <= TRIM_CHARS and _PLACEHOLDER.startswith(start)

    def _closes_unopened(self) -> bool:
        """Whether the content so far closes a thought that it did not open."""
        ahead = self._ahead if self._whole else self._ahead[:LOOK_AHEAD_CHARS]
        if not any(closer in ahead for closer in _CLOSERS):
            return False
        trial = TextScanner("content", Seams(Seam(), Seam()), self._offer, self._repairs.afresh(), "answer", self._desk)
        trial.feed(ahead)
        return trial.orphan

    # calls

    def _call(self, entries: list[Any]) -> Deltas:
        ready = self._structured.feed(entries, separate=self._whole)
        if not self._structured.pending:
            return []
        out = self._pieces(self._reasoning.settle(called=False))
        if not self._whole and self._content is not None:
            out += self._pieces(self._content.settle(called=True))
        for step in ready:
            out += self._structured_step(step)
        return out

    def _structured_step(self, step: Step) -> Deltas:
        """A structured call, or what can go out of one that is still arriving."""
        if step.live is None:
            return self._sent(self._desk.accept(step.raw, "structured", given=step.given))
        out: Deltas = []
        if step.begins:
            out = self._sent(self._desk.begin(step.raw, step.given))[:-1]
        text = step.text
        if step.over and not step.live.done:
            end = self._desk.end(step.raw, step.live)
            self._unfinished = self._unfinished or end is None
            text += end or ""
        elif step.over:
            self._desk.remember(step.raw, step.given, step.live.members)
        index = self._index - 1
        return [*out, {"tool_calls": [{"index": index, "function": {"arguments": text}}]}] if text else out

    def _found(self, raw: RawCall, repair: str) -> Deltas:
        """A call that stood in a text."""
        source: Literal["content", "reasoning"] = "reasoning" if repair.endswith("reasoning") else "content"
        return self._sent(self._desk.accept(raw, source, repair))

    def _sent(self, call: ToolCall | None) -> Deltas:
        if call is None:
            return []
        index, self._index = self._index, self._index + 1
        head = {"index": index, "id": call.id, "type": call.type}
        first = {**head, "function": {"name": call.name, "arguments": ""}}
        rest = {"index": index, "function": {"arguments": call.arguments}}
        return [*self._flush_reasoning(), {"tool_calls": [first]}, {"tool_calls": [rest]}]

    # out

    def _pieces(self, pieces: list[Piece]) -> Deltas:
        out: Deltas = []
        for piece in pieces:
            if piece.call is not None:
                out += self._found(piece.call, piece.repair)
            elif piece.kind == "reasoning":
                out += self._think(piece.text)
            else:
                out += self._flush_reasoning()
                out.append({"content": piece.text})
        return _merged(out)

    def _think(self, text: str) -> Deltas:
        """Reasoning goes out at once, unless it may turn out to be the answer."""
        if not self._holds_reasoning:
            return [{"reasoning_content": text}]
        self._held_reasoning.append(text)
        self._held_chars += len(text)
        return self._flush_reasoning() if self._held_chars > MAX_HELD_REASONING_CHARS else []

    def _flush_reasoning(self) -> Deltas:
        """Reasoning that was held back was reasoning after all."""
        held, self._held_reasoning = "".join(self._held_reasoning), []
        self._holds_reasoning = False
        return [{"reasoning_content": held}] if held else []

    def _answer_from_reasoning(self) -> Deltas:
        held = "".join(self._held_reasoning)
        if not held:
            return []
        self._held_reasoning = []
        self._repairs.make("answer_from_reasoning")
        return [{"content": held}]

    def _joined(self, channel: Literal["content", "reasoning"], text: str) -> str:
        if not self._repairs.on("lone_surrogate_replaced"):
            return text
        text, replaced = self._halves[channel].feed(text)
        if replaced:
            self._repairs.make("lone_surrogate_replaced")
        return text

    def _halves_left(self) -> Deltas:
        out: Deltas = []
        for channel, take in (("reasoning", self._reason), ("content", self._answer)):
            left = self._halves[channel].finish()
            if left:
                self._repairs.make("lone_surrogate_replaced")
                out += take(left)
        return out


def _merged(deltas: Deltas) -> Deltas:
    """Neighbouring deltas of one text as one."""
    out: Deltas = []
    for delta in deltas:
        ((key, value),) = delta.items()
        if out and key in out[-1] and key != "tool_calls":
            out[-1] = {key: out[-1][key] + value}
        else:
            out.append(delta)
    return out


__all__ = ["ChoiceRepair", "Delta", "Given"]
