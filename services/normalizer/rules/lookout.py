"""What begins at a place of a text: the grammars are asked, and what they say is weighed against code, quotation marks
and the repairs that are switched off.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

from services.normalizer.rules.catalog import Repairs
from services.normalizer.rules.grammar import CUT_MARKER_CHARS, WAIT, Channel, Mode, Opening, View, Wait
from services.normalizer.rules.grammars import GRAMMARS
from services.normalizer.rules.left import LEAVING, Answer, FencedBlock, KeptBlock, Left, LeftBlock, RestOfText
from services.normalizer.rules.offer import ToolOffer
from services.normalizer.rules.pieces import Judge, Piece, Seams
from services.normalizer.rules.quoting import CodeSpans, closing_quote

TRIGGERS = "".join(sorted({char for grammar in GRAMMARS for char in grammar.triggers}))
TAGS = "<◁["  # triggers of markers, which quotation marks make text
GIVEN_BACK = frozenset({"tool_call_from_json", "tool_call_from_bare_id"})  # found by shape alone, no marker is lost
_BY_TRIGGER = {char: tuple(g for g in GRAMMARS if char in g.triggers) for char in TRIGGERS}
_SPAN_CHARS = 400  # how far a code span's end is looked for, where there is a marker in it
_CUTS = 4  # cut markers in a row that are looked for in front of a whole one
_CUT_CHARS = 100  # the longest cut marker
_GIVE_BACKS = 16  # how often text is read again that looked like a call without a marker


class Lookout(ABC):
    """Looks out over the text of one channel. The scanner says where it is; here is what it can see from there."""

    def __init__(
        self, channel: Channel, seams: Seams, offer: ToolOffer, repairs: Repairs, mode: Mode, judge: Judge
    ) -> None:
        self.reasoned = False  # reasoning came in a field of its own
        self.mode: Mode = mode
        self._channel = channel
        self._seams = seams
        self._offer = offer
        self._repairs = repairs
        self._judge = judge
        self._careful = not all(map(repairs.on, LEAVING))
        self._spans = CodeSpans()
        self._last = ""  # the last character before the held text
        self._fresh = True  # nothing but white space so far
        self._lead = 0  # white space in front of the text that is looked at
        self._coded_to = 0  # up to where the text that is looked at may be code
        self._given_back = 0
        self._cut = False  # the answer was cut off

    @abstractmethod
    def _trial(self, text: str) -> list[Piece]:
        """What a text of its own comes to; nothing is counted."""

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
        if not fence or not self._offer.known or not self._offer.may_call or buffer[at] not in TAGS:
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
        pieces = self._trial(text)
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
        if opening.repair in GIVEN_BACK and self._given_back >= _GIVE_BACKS:
            return None
        if buffer[opening.start] not in TAGS:
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
            return Opening(opening.start, opening.end, "", LeftBlock(opener, opening.reader), counted=False)
        if self._careful:
            keeps = not self._repairs.on("stray_marker_removed") and not opening.counted
            return opening._replace(reader=KeptBlock(opener, opening.reader, self._judge.takes, keeps_empty=keeps))
        return opening

    # beginnings of markers at a text's end

    def _cut_start(self, text: str) -> int:
        """Where beginnings of markers start that the text ends in: a marker that is cut off by another."""
        end = len(text)
        for _ in range(_CUTS if self._spans.clear else 0):
            at = text.rfind("<", max(self._coded_to, end - _CUT_CHARS), end)
            cut = self._ask(text[:end], at, final=True) if at >= 0 else None
            if not isinstance(cut, Opening) or cut.repair != "cut_marker_removed":
                break
            end = at
        return end

    def _carried_from(self, text: str) -> int:
        """Where something begins that the text ends in and that waits for the text after a marker: the first characters
        of a marker, too few for a cut one, or a literal that is a token only at the end."""
        marker = self._beginning(text, max(self._coded_to, len(text) - CUT_MARKER_CHARS + 1), "<")
        return min(marker, self._beginning(text, max(self._coded_to, len(text) - _CUT_CHARS), "["))

    def _beginning(self, text: str, lowest: int, triggers: str = TAGS) -> int:
        """Where a marker begins that the text ends in the middle of; its end where there is none."""
        at = max(text.rfind(char, lowest) for char in triggers) if self._spans.clear else -1
        return at if at >= 0 and isinstance(self._ask(text, at, final=False), Wait) else len(text)
