"""Goes through one text as it arrives: what is answer, what is thought, what are calls, and what is in
neither.

Text is held back only while it may belong to something that is not text: the beginning of a marker, a call's
id, the white space in front of a block, a placeholder at the very start. `passes` is the fast way for
everything else.

What is taken out must not let its two sides become a marker, a tag or a call. So the text behind it is read on from
the text in front of it as it went out (`Seam.tail`), whatever stood between: a marker, a call, a thought, another
field. A marker that begins in what is out already loses the rest of itself. Only a marker that says nothing itself
is taken out as if it had never been there, for nothing else has to go out first.
"""

from __future__ import annotations

import re

from services.normalizer.rules.catalog import Repairs
from services.normalizer.rules.grammar import Channel, Mode, Opening, RawCall, Reader, Wait, is_id_char
from services.normalizer.rules.held import after_placeholders, id_start, is_placeholder, may_be_placeholder
from services.normalizer.rules.left import FencedBlock, KeptBlock, LeftBlock, RestOfText
from services.normalizer.rules.lookout import GIVEN_BACK, TAGS, TRIGGERS, Lookout
from services.normalizer.rules.offer import ToolOffer
from services.normalizer.rules.pieces import Judge, Piece, Seams, slices
from services.normalizer.rules.quoting import CodeSpans
from services.normalizer.rules.spacing import Seam, trailing_space

_TRIGGER = re.compile(f"<(?!<)|[{re.escape(TRIGGERS.replace('<', ''))}]")  # a `<` in front of another begins nothing
_SPECIAL = re.compile(f"[{re.escape(TRIGGERS)}`~]")


class TextScanner(Lookout):
    """The scanner of one channel of one choice."""

    def __init__(
        self, channel: Channel, seams: Seams, offer: ToolOffer, repairs: Repairs, mode: Mode, judge: Judge
    ) -> None:
        super().__init__(channel, seams, offer, repairs, mode, judge)
        self.orphan = False  # the text closed a thought that it had not opened
        self._seam = self._seam_of(mode)
        self._held = ""
        self._seen = 0  # how much of the held text was looked at
        self._gone = 0  # how much of the held text, or of the open block, went out already
        self._joins = True  # the next text follows on what went out last, with something taken out between
        self._thoughts = 0
        self._reader: Reader | None = None
        self._found_by = ""
        self._empty = False  # the open block has given nothing yet, and was not counted
        self._out: list[Piece] = []

    def passes(self, text: str) -> bool:
        """Whether a piece goes out just as it is, with nothing held back; then it counts as fed."""
        if not text or self._held or self._fresh or self._reader is not None or _SPECIAL.search(text):
            return False
        last, seam = text[-1], self._seam
        if last.isspace() or seam.open or self.mode == "discard" or self._ends_in_id(text):
            return False
        self._spans.plain(text)
        self._last = seam.tail = last
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

    def _trial(self, text: str) -> list[Piece]:
        seams = Seams(Seam(), Seam())
        trial = TextScanner(self._channel, seams, self._offer, self._repairs.afresh(), "answer", self._judge)
        return [*trial.feed(text), *trial.finish()]

    def _taken(self) -> list[Piece]:
        out, self._out = self._out, []
        return out

    def _seam_of(self, mode: Mode) -> Seam:
        return self._seams.reasoning if mode == "thought" else self._seams.content

    # inside a block

    def _read(self, reader: Reader, text: str, final: bool) -> str | None:
        """Have the open block's reader read on; gives the text after the block."""
        kept = isinstance(reader, KeptBlock | LeftBlock | FencedBlock | RestOfText)
        found, rest = reader.feed(text, final)
        for item in found:
            self._empty = self._empty and not (kept or isinstance(item, RawCall))
            if isinstance(item, RawCall):
                self._seam.block("")
                self._out.append(Piece("call", "", item, self._found_by))
            else:
                self._give_back(item, plain=isinstance(reader, LeftBlock | RestOfText))
        if rest is None:
            return None
        if isinstance(reader, FencedBlock) and reader.unfenced:
            self._spans = CodeSpans()
        elif self._empty and self._found_by not in GIVEN_BACK:
            self._repairs.make("stray_marker_removed")
        self._reader, self._gone = None, 0
        return rest

    def _give_back(self, text: str, *, plain: bool) -> None:
        """What looked like a block is text, every character of it; `plain` where it was not taken out."""
        self._given_back += self._found_by in GIVEN_BACK
        text, self._gone = text[self._gone :], max(0, self._gone - len(text))
        self._spans.follow(text)
        self._last = text[-1:] or self._last
        if plain:
            self._flow(text, block=False)
            return
        self._fresh = self._fresh and not text.strip()
        self._put(self._seam.give_back(text))

    # text

    def _scan(self, text: str, final: bool, called: bool) -> str | None:
        """Go through text up to the next block; gives the text after the block's beginning."""
        if self.mode == "discard":
            self._held, self._seen = "", 0
            return None
        if self._joins:
            text = self._joined(text)
        buffer, at = self._held + text, self._seen
        done = at
        self._lead = self._gone + len(buffer[self._gone :]) - len(buffer[self._gone :].lstrip())
        while found := _TRIGGER.search(buffer, at):
            self._spans.follow(buffer[done : found.start()])
            done = found.start()
            if self._spans.inside:
                self._coded_to = done + 1
            answer = self._ask(buffer, done, final)
            if isinstance(answer, Wait):
                self._hold(buffer, done)
                return None
            if isinstance(answer, Opening) and max(done + 1, answer.end) > self._gone:
                return self._open(buffer, answer)
            at = done + 1 if answer is None else answer.end
        self._spans.follow(buffer[done:])
        if final:
            self._held, self._seen = "", 0
            self._flow(buffer, block=called and is_placeholder(buffer))
            return None
        self._hold(buffer, len(buffer))
        return None

    def _joined(self, text: str) -> str:
        """Text behind something that was taken out. What it may belong to in front of that is read once more."""
        body = text.lstrip()
        seam = self._seam
        if self._held or not seam.open:
            self._joins = False
            return text
        blank = text[: len(text) - len(body)]
        self._spans.follow(blank)
        seam.text(blank)
        if body:
            self._joins = False
            before = seam.tail + seam.joint
            start = self._read_on_from(before)
            self._held, self._seen, self._gone = before[start:], 0, len(before) - start
            self._last = before[start - 1 : start] if self._held else self._last
        return body

    def _read_on_from(self, text: str) -> int:
        """Where a marker or a call's id begins that the text ends in. A token that went out whole is text, and a word
        that reaches to the text's beginning may have begun before it."""
        return min(self._beginning(text, text.rfind(">") + 1), id_start(text, text[:1], self._offer))

    def _open(self, buffer: str, opening: Opening) -> str:
        start = max(opening.start, self._gone)
        reader, before = opening.reader, start
        left = isinstance(reader, LeftBlock | RestOfText)
        if reader is None and opening.mode is None and start > self._gone and not buffer[start - 1].isspace():
            before = self._waiting_from(buffer[:start])
        may_come_back = left or isinstance(reader, KeptBlock) or opening.repair in GIVEN_BACK
        gone = self._gone - (opening.start if may_come_back else before)
        self._flow(buffer[:before], block=not left, cut=buffer[before] in TAGS)
        if opening.counted:
            self._repairs.make(opening.repair)
        if opening.orphan and not self._thoughts:
            self.orphan = True
        self._last = buffer[before - 1 : before] if before < start else ""
        self._held, self._seen, self._gone = buffer[before:start], 0, max(0, gone)
        self._coded_to = 0
        self._joins = not left
        self._reader, self._found_by, self._empty = reader, opening.repair, not opening.counted
        if opening.mode is not None:
            self._enter(opening.mode)
        return buffer[opening.end :]

    def _waiting_from(self, text: str) -> int:
        """Where something begins that the text ends in, and that can wait for what follows the marker behind it."""
        carried = self._carried_from(text)
        before = self._seam.tail + self._seam.joint + text[self._gone :]
        begun = self._beginning(before, before.rfind(">") + 1) < len(before)  # a marker, and what waited would hide it
        cut = self._cut_start(text) < len(text)
        return carried if begun or cut else min(carried, self._id_start(text))

    def _enter(self, mode: Mode) -> None:
        self.mode, self._seam = mode, self._seam_of(mode)
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
        text, self._gone = text[self._gone :], max(0, self._gone - len(text))
        if self._fresh and text:
            text = self._without_placeholder(text, block)
        out = self._seam.block(text) if block else self._seam.text(text) if text else ""
        self._fresh = self._fresh and not text.strip()
        self._put(out)

    def _put(self, text: str) -> None:
        if text:
            self._out.append(Piece("reasoning" if self.mode == "thought" else "content", text))

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
