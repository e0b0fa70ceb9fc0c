"""Goes through one text as it arrives: what is answer, what is thought, what are calls, and what is in
neither.

Text is held back only while it may belong to something that is not text: the beginning of a marker, a call's
id, the white space in front of a block, a placeholder at the very start. `passes` is the fast way for
everything else.
"""

from __future__ import annotations

import re

from services.normalizer.rules.catalog import Repairs
from services.normalizer.rules.grammar import (
    CUT_MARKER_CHARS,
    WAIT,
    Channel,
    Mode,
    Opening,
    RawCall,
    Reader,
    View,
    Wait,
    is_id_char,
)
from services.normalizer.rules.grammars import GRAMMARS
from services.normalizer.rules.held import after_placeholders, id_start, is_placeholder, may_be_placeholder
from services.normalizer.rules.left import LEAVING, Answer, FencedBlock, KeptBlock, Left, RestOfText
from services.normalizer.rules.offer import ToolOffer
from services.normalizer.rules.pieces import Judge, Piece, Seams, slices
from services.normalizer.rules.quoting import CodeSpans, closing_quote
from services.normalizer.rules.spacing import Seam, trailing_space

_TRIGGERS = "".join(sorted({char for grammar in GRAMMARS for char in grammar.triggers}))
_TRIGGER = re.compile(f"[{re.escape(_TRIGGERS)}]")
_SPECIAL = re.compile(f"[{re.escape(_TRIGGERS)}`~]")
_BY_TRIGGER = {char: tuple(g for g in GRAMMARS if char in g.triggers) for char in _TRIGGERS}
_TAGS = "<◁["  # triggers of markers, which quotation marks make text
_ID_CHARS = 100  # the longest call id that is looked for in front of a marker
_SPAN_CHARS = 400  # how far a code span's end is looked for, where there is a marker in it
_CUTS = 4  # cut markers in a row that are looked for in front of a whole one
_GIVE_BACKS = 16  # how often text is read again that looked like a call without a marker
_GIVEN_BACK = frozenset({"tool_call_from_json", "tool_call_from_bare_id"})  # found by shape alone, no marker is lost


class TextScanner:
    """The scanner of one channel of one choice."""

    def __init__(
        self, channel: Channel, seams: Seams, offer: ToolOffer, repairs: Repairs, mode: Mode, judge: Judge
    ) -> None:
        self.orphan = False  # the text closed a thought that it had not opened
        self.reasoned = False  # reasoning came in a field of its own
        self.mode: Mode = mode
        self._channel = channel
        self._seams = seams
        self._offer = offer
        self._repairs = repairs
        self._judge = judge
        self._careful = not all(map(repairs.on, LEAVING))
        self._spans = CodeSpans()
        self._held = ""
        self._seen = 0  # how much of the held text was looked at
        self._last = ""  # the last character before the held text
        self._fresh = True  # nothing but white space so far
        self._lead = 0  # white space in front of the text that is looked at
        self._coded_to = 0  # up to where the text that is looked at may be code
        self._thoughts = 0
        self._given_back = 0
        self._cut = False  # the answer was cut off
        self._reader: Reader | None = None
        self._found_by = ""
        self._empty = False  # the open block has given nothing yet, and was not counted
        self._out: list[Piece] = []

    def passes(self, text: str) -> bool:
        """Whether a piece goes out just as it is, with nothing held back; then it counts as fed."""
        if not text or self._held or self._fresh or self._reader is not None or _SPECIAL.search(text):
            return False
        if text[-1].isspace() or not self._seam.clear or self.mode == "discard" or self._ends_in_id(text):
            return False
        self._spans.plain(text)
        self._last = text[-1]
        return True

    def feed(self, text: str) -> list[Piece]:
        """What goes out after a piece of text."""
        return self._run(text, final=False, called=False)

    def finish(self, called: bool = False, cut: bool = False) -> list[Piece]:
        """What goes out at the end; `called` where there are calls besides this text, `cut` where it was cut off."""
        self._cut = cut
        return self._run("", final=True, called=called)

    def settle(self, called: bool) -> list[Piece]:
        """Let go of held text that is no marker's beginning, because something else goes out next."""
        end = self._settled()
        if self._reader is not None or not end:
            return []
        held, self._held, self._seen = self._held[:end], self._held[end:], self._seen - end
        self._coded_to = max(0, self._coded_to - end)
        self._last = held[-1]
        self._flow(held, block=called and is_placeholder(held))
        return self._taken()

    def _settled(self) -> int:
        """Where held text ends that is surely text: not in a marker that what follows cuts off."""
        held = self._held[: self._seen]
        return self._cut_start(held[: self._carried_from(held)]) if self._seen < len(self._held) else self._seen

    def break_off(self) -> list[Piece]:
        """What is held back, where the provider broke down: text, and calls that something closed. What is left of a
        call is dropped."""
        out = []
        for piece in self.finish(cut=True):
            if piece.call is None or piece.call.closed or piece.call.oversized:
                out.append(piece)
            else:
                self._repairs.make("incomplete_call_dropped")
        return out

    def _run(self, text: str, *, final: bool, called: bool) -> list[Piece]:
        left = slices(text) if text or final else []
        while left:
            piece = left.pop()
            last = final and not left
            rest = self._read(self._reader, piece, last) if self._reader else self._scan(piece, last, called)
            if rest or (last and rest is not None):
                left += slices(rest)
        return self._taken()

    def _taken(self) -> list[Piece]:
        out, self._out = self._out, []
        return out

    @property
    def _seam(self) -> Seam:
        return self._seams.reasoning if self.mode == "thought" else self._seams.content

    # inside a block

    def _read(self, reader: Reader, text: str, final: bool) -> str | None:
        """Have the open block's reader read on; gives the text after the block."""
        kept = isinstance(reader, KeptBlock | FencedBlock | RestOfText)
        found, rest = reader.feed(text, final)
        for item in found:
            self._empty = self._empty and not (kept or isinstance(item, RawCall))
            if isinstance(item, RawCall):
                self._seam.block("")
                self._out.append(Piece("call", "", item, self._found_by))
            elif kept or self._found_by in _GIVEN_BACK:
                self._give_back(item, plain=isinstance(reader, KeptBlock | RestOfText) and reader.plain)
            else:
                self._flow(item, block=True)
        if rest is None:
            return None
        if isinstance(reader, FencedBlock) and reader.unfenced:
            self._spans = CodeSpans()
        elif self._empty and self._found_by not in _GIVEN_BACK:
            self._repairs.make("stray_marker_removed")
        self._reader = None
        return rest

    def _give_back(self, text: str, *, plain: bool) -> None:
        """What looked like a block is text, every character of it; `plain` where it was not taken out."""
        self._given_back += 1
        self._spans.follow(text)
        self._last = text[-1:] or self._last
        if plain:
            self._flow(text, block=False)
            return
        self._fresh = self._fresh and not text.strip()
        out = self._seam.give_back(text)
        self._out.append(Piece("reasoning" if self.mode == "thought" else "content", out))

    # text

    def _scan(self, text: str, final: bool, called: bool) -> str | None:
        """Go through text up to the next block; gives the text after the block's beginning."""
        if self.mode == "discard":
            self._held, self._seen = "", 0
            return None
        buffer, at = self._held + text, self._seen
        done = at
        self._lead = len(buffer) - len(buffer.lstrip())
        while found := _TRIGGER.search(buffer, at):
            self._spans.follow(buffer[done : found.start()])
            done = found.start()
            if self._spans.inside:
                self._coded_to = done + 1
            answer = self._ask(buffer, done, final)
            if isinstance(answer, Wait):
                self._hold(buffer, done)
                return None
            if isinstance(answer, Opening):
                return self._open(buffer, answer)
            at = done + 1 if answer is None else answer.end
        self._spans.follow(buffer[done:])
        if final:
            self._held, self._seen = "", 0
            self._flow(buffer, block=called and is_placeholder(buffer))
            return None
        self._hold(buffer, len(buffer))
        return None

    def _ask(self, buffer: str, at: int, final: bool) -> Answer:
        """What begins at a trigger."""
        coded = self._spans.inside
        if coded and self.mode == "answer":
            ask = self._ask_in_code if self._spans.ticks else self._ask_in_fence
            return ask(buffer, at, final)
        return self._ask_grammars(buffer, at, final, coded=coded)

    def _ask_in_fence(self, buffer: str, at: int, final: bool) -> Answer:
        """What begins in a code fence: nothing but a call marker on a line of its own, should the fence be none."""
        fence = self._spans.begins_line
        if not fence or not self._offer.known or not self._offer.may_call or buffer[at] not in _TAGS:
            return None
        answer = self._ask_grammars(buffer, at, final, coded=False)
        if isinstance(answer, Wait) and not final:
            return WAIT
        if not isinstance(answer, Opening) or answer.reader is None or not answer.repair:
            return None
        reader = FencedBlock(buffer[at : answer.end], fence, self._means_calls)
        return Opening(at, answer.end, "", reader, counted=False)

    def _means_calls(self, text: str) -> bool:
        """Whether a text is nothing but calls of offered tools, all of them whole."""
        if self._cut:
            return False
        seams = Seams(Seam(), Seam())
        trial = TextScanner(self._channel, seams, self._offer, self._repairs.afresh(), "answer", self._judge)
        pieces = [*trial.feed(text), *trial.finish()]
        calls = [piece.call for piece in pieces if piece.call is not None]
        return bool(calls) and len(calls) == len(pieces) and all(map(self._judge.offers, calls))

    def _ask_in_code(self, buffer: str, at: int, final: bool) -> Answer:
        """What begins in a code span: nothing, if the span is closed on its line; else the span is none."""
        answer = self._ask_grammars(buffer, at, final, coded=False)
        if answer is None or isinstance(answer, Left) or (isinstance(answer, Wait) and not final):
            return answer
        line, newline, _ = buffer[at : at + _SPAN_CHARS].partition("\n")
        closing = re.search(f"(?<!`)`{{{self._spans.ticks}}}(?!`)", line)
        over = bool(newline) or final or len(buffer) - at >= _SPAN_CHARS
        if closing is not None and (over or closing.end() < len(line)):
            return None
        if not over:
            return WAIT
        self._spans.leave()
        return answer

    def _ask_grammars(self, buffer: str, at: int, final: bool, *, coded: bool) -> Answer:
        view = self._view(buffer, at, final)
        for grammar in _BY_TRIGGER[buffer[at]]:
            if (grammar.calls and not self._offer.may_call) or (coded and not grammar.ends_thoughts):
                continue
            answer = grammar.open(view)
            if isinstance(answer, Wait):
                return WAIT
            if answer is not None:
                return self._unless_quoted(buffer, answer, final)
        return None

    def _view(self, buffer: str, at: int, final: bool) -> View:
        begun = not self._fresh if self.mode == "thought" else self._seams.content.begun
        at_start = not begun and at <= self._lead
        return View(buffer, at, final, self._channel, self.mode, at_start, self.reasoned, self._offer, self._last)

    def _unless_quoted(self, buffer: str, opening: Opening, final: bool) -> Answer:
        """The opening, unless quotation marks or backticks stand right around the marker."""
        if opening.repair in _GIVEN_BACK and self._given_back >= _GIVE_BACKS:
            return None
        if buffer[opening.start] not in _TAGS:
            return self._unless_off(buffer, opening)
        before = buffer[opening.start - 1] if opening.start else self._last
        closing = closing_quote(before) if before else None
        if closing is None:
            return self._unless_off(buffer, opening)
        if opening.end < len(buffer):
            return Left(opening.end) if buffer[opening.end] == closing else self._unless_off(buffer, opening)
        return self._unless_off(buffer, opening) if final else WAIT

    def _unless_off(self, buffer: str, opening: Opening) -> Opening | Left:
        """The opening, unless one of its repairs is off: then what it would take is left as it came."""
        off = not all(map(self._repairs.on, (opening.repair, *opening.also)))
        opener = buffer[opening.start : opening.end]
        if off and opening.mode == "discard":
            return Opening(opening.start, opening.end, "", RestOfText(opener), counted=False)
        if opening.reader is None:
            return Left(opening.end) if off else opening
        if off:
            return Opening(opening.start, opening.end, "", KeptBlock(opener, opening.reader, None), counted=False)
        if self._careful:
            keeps = not self._repairs.on("stray_marker_removed") and not opening.counted
            return opening._replace(reader=KeptBlock(opener, opening.reader, self._judge.takes, keeps_empty=keeps))
        return opening

    def _open(self, buffer: str, opening: Opening) -> str:
        before, tagged = opening.start, buffer[opening.start] in _TAGS
        left = isinstance(opening.reader, KeptBlock | RestOfText) and opening.reader.plain
        if tagged and opening.mode is None and not left:
            before = self._carried_from(buffer[:before])
        self._flow(buffer[:before], block=not left, cut=tagged)
        if opening.counted:
            self._repairs.make(opening.repair)
        if opening.orphan and not self._thoughts:
            self.orphan = True
        self._last = ""
        self._held, self._seen = buffer[before : opening.start], 0
        self._coded_to = 0
        self._reader, self._found_by, self._empty = opening.reader, opening.repair, not opening.counted
        if opening.mode is not None:
            self._enter(opening.mode)
        return buffer[opening.end :]

    def _carried_from(self, text: str) -> int:
        """Where a marker's first characters begin that the text ends in: they wait for the text after the block,
        which may make a marker of them."""
        at = text.rfind("<", max(self._coded_to, len(text) - CUT_MARKER_CHARS + 1)) if self._spans.clear else -1
        return at if at >= 0 and isinstance(self._ask(text, at, final=False), Wait) else len(text)

    def _enter(self, mode: Mode) -> None:
        self.mode = mode
        self._spans = CodeSpans()
        self._fresh = mode == "thought" or not self._seams.content.begun
        if mode == "thought":
            self._thoughts += 1
            self._seams.reasoning.part()
        elif mode == "answer":
            self._seams.content.block("")

    # holding back

    def _hold(self, buffer: str, end: int) -> None:
        """Let go of the text that no block can claim any more; the buffer was looked at up to `end`."""
        start = self._free(buffer[:end])
        if end < len(buffer):  # something may begin there: what a cut marker in front of it leaves goes with it
            beginning = self._cut_start(buffer[: self._carried_from(buffer[:end])])
            start = min(start, self._free(buffer[:beginning]))
        self._flow(buffer[:start], block=False)
        if start:
            self._last = buffer[start - 1]
        self._held, self._seen = buffer[start:], end - start
        self._coded_to = max(0, self._coded_to - start)

    def _free(self, text: str) -> int:
        """How much of the text may go out, whatever follows it."""
        if self._fresh and may_be_placeholder(text[: self._id_start(text)]):
            return 0
        if self.mode == "answer" and self._spans.fenced:
            return trailing_space(text) if self._offer.known and self._offer.may_call else len(text)
        return trailing_space(text[: self._id_start(text)])

    def _cut_start(self, text: str) -> int:
        """Where beginnings of markers start that the text ends in: a marker that is cut off by another."""
        end = len(text)
        for _ in range(_CUTS if self._spans.clear else 0):
            at = text.rfind("<", max(self._coded_to, end - _ID_CHARS), end)
            cut = self._ask(text[:end], at, final=True) if at >= 0 else None
            if not isinstance(cut, Opening) or cut.repair != "cut_marker_removed":
                break
            end = at
        return end

    def _ends_in_id(self, text: str) -> bool:
        """Whether the last word of a text may begin a call's id: the fast way for words of letters alone."""
        at = text.rfind(" ") + 1
        if self._offer.known and text[at:].isalpha():
            return text[at:] in self._offer.beginnings and (at > 0 or not is_id_char(self._last))
        return self._id_start(text) < len(text)

    def _id_start(self, text: str) -> int:
        return id_start(text, self._last, self._offer)

    # out

    def _flow(self, text: str, *, block: bool, cut: bool = True) -> None:
        """Put text out, in front of a block or not; `cut` where a marker's beginning at its end is none."""
        if block and cut and text and (end := self._cut_start(text)) < len(text):
            self._repairs.make("cut_marker_removed")
            text = text[:end]
        if self._fresh and text:
            text = self._without_placeholder(text, block)
        out = self._seam.block(text) if block else self._seam.text(text) if text else ""
        self._fresh = self._fresh and not text.strip()
        if out:
            kind: Channel = "reasoning" if self.mode == "thought" else "content"
            self._out.append(Piece(kind, out))

    def _without_placeholder(self, text: str, block: bool) -> str:
        """The text without `(no content)` in front: in thoughts, where it is repeated, or where it is all
        there is."""
        rest, times = after_placeholders(text)
        alone = block and not rest.strip()
        if not times or (self.mode != "thought" and not alone and times < 2):
            return text
        if not self._repairs.make("placeholder_removed"):
            return text
        self._seam.block("")
        return rest
