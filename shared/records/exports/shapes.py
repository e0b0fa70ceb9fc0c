"""The shapes that an export can have, by what is written for one exchange and around all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shared.records.exports import curl, har, moonpalace, training
from shared.records.exports.whole import Whole


@dataclass(frozen=True, kw_only=True)
class Shape:
    suffix: str  # of a file that holds it
    piece: Callable[[Whole], bytes]  # of one exchange; raises training.LeftOut or queries.NotFound
    before: bytes = b""
    between: bytes = b""
    after: bytes = b""
    is_one_file: bool = True  # several exchanges can stand in one


def moonpalace_shape(call: str | None, escape_html: bool) -> Shape:
    return Shape(suffix=".json", piece=lambda whole: moonpalace.document(whole, call, escape_html), is_one_file=False)


def curl_shape(call: str | None) -> Shape:
    return Shape(suffix=".sh", piece=lambda whole: curl.command(whole, call), between=b"\n")


def har_shape() -> Shape:
    return Shape(
        suffix=".har",
        piece=lambda whole: har.SEPARATOR.join(har.entries(whole)),
        before=har.beginning(),
        between=har.SEPARATOR,
        after=har.END,
    )


JSONL: dict[str, Shape] = {
    "openai": Shape(suffix=".jsonl", piece=training.openai_line),
    "k2vv": Shape(suffix=".jsonl", piece=training.k2vv_line),
}
