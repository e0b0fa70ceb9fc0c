"""What a grammar is: it knows how a kind of block begins in a text, and reads it to its end.

The scanner (text.py) goes through a text and asks each grammar of its list at each character that one of them
could begin with. A grammar answers with an Opening, with WAIT where more text is needed to tell, or with
None. It decides by the text alone, never by where a chunk ends; that is what makes the result the same for
every way to cut a stream.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, Protocol

Channel = Literal["content", "reasoning"]
Mode = Literal["answer", "thought", "discard"]

CUT_MARKER_CHARS = 5
"""The shortest beginning of a marker at the very end of an answer that is taken for a marker and not for
text."""


class RawCall(NamedTuple):
    """A call as a grammar read it. `head` is its id or name, `arguments` the text of its arguments."""

    head: str
    arguments: str
    closed: bool  # something says that the call is complete: an end marker, the next call
    oversized: bool = False


Found = RawCall | str
"""What a reader finds: calls, and text that turned out to belong to the answer."""


class Reading(NamedTuple):
    """What a reader made of a piece of text; with a `rest` it is done, and the rest is text again."""

    found: list[Found]
    rest: str | None = None


class Reader(Protocol):
    """Reads one block. It keeps what it needs, and is told when the text is over (`final`)."""

    def feed(self, text: str, final: bool) -> Reading: ...


class Offer(Protocol):
    """The tools of the request, as far as grammars ask for them."""

    known: bool  # the request's tools are known
    may_call: bool  # an answer may hold calls at all

    def has(self, name: str) -> bool:
        """Whether a tool of that name was offered, or may have been."""

    def may_begin_id(self, word: str) -> bool:
        """Whether a word is a call's id or the beginning of one; only such words are held back."""


class View(NamedTuple):
    """A place in a text as a grammar sees it."""

    text: str  # from the last text that went out on
    at: int  # the place in question
    final: bool  # no more text comes
    channel: Channel
    mode: Mode
    at_start: bool  # nothing but white space stands before, in this channel
    reasoned: bool  # the provider sent reasoning in a field of its own
    offer: Offer
    before: str = ""  # the last character that went out

    def begins_word(self, at: int) -> bool:
        """Whether what stands at `at` is not the rest of a word that went out already."""
        return at > 0 or not is_id_char(self.before)


class Opening(NamedTuple):
    """A block begins: the text up to `start` is text, and the block's reader goes on at `end`."""

    start: int
    end: int
    repair: str  # the repair's name; where it is switched off, the block is text
    reader: Reader | None = None
    mode: Mode | None = None  # what the text is from here on
    counted: bool = True  # false where the reader's own finds are counted
    orphan: bool = False  # it closes a thought that nothing opened
    also: tuple[str, ...] = ()  # further repairs that must be on: the one that the grammar is there for


def is_id_char(char: str) -> bool:
    """Whether a character may be part of a call's id."""
    return char.isalnum() or (char != "" and char in "_.-:$")


class Wait:
    """More text is needed."""


WAIT: Final = Wait()


class Grammar(Protocol):
    """One family of markers. `triggers` are the characters that its blocks can begin with."""

    name: str
    triggers: str
    calls: bool  # its blocks are tool calls: text where no tools were offered
    ends_thoughts: bool  # asked inside a thought's code too: an unclosed fence must not swallow the thought's end

    def open(self, view: View) -> Opening | Wait | None: ...


class Tokens:
    """Fixed markers, looked up at a place in a text."""

    def __init__(self, *tokens: str) -> None:
        self._tokens = sorted(tokens, key=len, reverse=True)
        self._prefixes = frozenset(token[:n] for token in tokens for n in range(1, len(token)))
        self._longest = max(map(len, tokens))

    def at(self, text: str, at: int) -> str | None:
        """The marker that stands at a place."""
        return next((token for token in self._tokens if text.startswith(token, at)), None)

    def may_begin(self, text: str, at: int) -> bool:
        """Whether the text ends in what may become a marker, from `at` on."""
        return len(text) - at < self._longest and text[at:] in self._prefixes


def cut_off(view: View) -> Opening | Wait | None:
    """The answer where the text ends in the beginning of a marker: wait for the rest, or remove a cut one."""
    if not view.final:
        return WAIT
    if len(view.text) - view.at < CUT_MARKER_CHARS:
        return None
    return Opening(view.at, len(view.text), "cut_marker_removed")
