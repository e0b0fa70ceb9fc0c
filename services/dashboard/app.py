"""The HTTP application below `/ui`: the page's files and its JSON API."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from services.dashboard.archive import Archive, MarkChanges, page
from services.dashboard.files import StaticFiles
from services.dashboard.guard import Denied, Guard
from services.dashboard.live import Hub
from services.dashboard.rules.asking import Unclear, filter_of, page_of
from services.dashboard.rules.views import chunks_view, exchange_view, part_view
from services.dashboard.streams import stream, tell_exchange, tell_list
from shared.contracts import Cancel, encode
from shared.ids import is_id
from shared.records.answers import is_stream, understood
from shared.records.comparisons import compared_call, sections
from shared.records.exports.moonpalace import file_name
from shared.records.exports.shapes import JSONL, Shape, curl_shape, har_shape, moonpalace_shape
from shared.records.exports.training import LeftOut
from shared.records.exports.whole import Whole
from shared.records.marks import NOTE, TAG, Category, Unmarkable, check
from shared.records.queries import NotFound, Part, Records
from shared.records.statistics import sums_by
from shared.version import version

SHOWN_BYTES = 4 * 1024 * 1024  # of a body as text
NOT_FILTERS = ("before", "limit")


class MarkWish(msgspec.Struct, forbid_unknown_fields=True):
    """What a page asks to be changed. A category of "" is none."""

    category: str | None = None
    tags: list[str] = []
    untags: list[str] = []
    notes: list[str] = []
    unnotes: list[str] = []


class LoginWish(msgspec.Struct):
    key: str


class Dashboard:
    def __init__(self, archive: Archive, hub: Hub, guard: Guard) -> None:
        self._archive = archive
        self._hub = hub
        self._guard = guard
        self._files = StaticFiles()

    def application(self) -> web.Application:
        """To be mounted at `/ui/`."""
        app = web.Application(middlewares=[self._guard.middleware])
        app.on_response_prepare.append(self._guard.add_headers)
        app.on_shutdown.append(self._close)
        get, post = app.router.add_get, app.router.add_post
        get("/api/me", self._me)
        post("/api/login", self._log_in)
        post("/api/logout", self._log_out)
        get("/api/exchanges", self._list)
        get("/api/stats", self._stats)
        get("/api/state", self._state)
        get("/api/live", self._live)
        get("/api/exchanges/{id}", self._exchange)
        get("/api/exchanges/{id}/live", self._exchange_live)
        get("/api/exchanges/{id}/diff", self._diff)
        get("/api/exchanges/{id}/parts/{part}", self._part)
        get("/api/exchanges/{id}/parts/{part}/text", self._part_text)
        get("/api/exchanges/{id}/parts/{part}/chunks", self._chunks)
        get("/api/exchanges/{id}/export/{shape}", self._export)
        post("/api/exchanges/{id}/marks", self._mark)
        post("/api/exchanges/{id}/cancel", self._cancel)
        get("/static/{name}", self._static)
        get("/", self._index)
        get("/x/{id}", self._index)
        get("/workers", self._index)
        app.router.add_route("*", "/{path:.*}", self._nothing)
        return app

    async def _close(self, _app: web.Application) -> None:
        """Open streams end, so that nobody waits for them."""
        self._hub.closing = True

    # -- files

    async def _index(self, http: web.Request) -> web.StreamResponse:
        return self._files.answer("index.html", http.headers.get("If-None-Match"))

    async def _static(self, http: web.Request) -> web.StreamResponse:
        return self._files.answer(http.match_info["name"], http.headers.get("If-None-Match"))

    async def _nothing(self, http: web.Request) -> web.StreamResponse:
        raise Denied(404, "unknown_path", f"There is nothing at {http.path}.")

    # -- who looks

    async def _me(self, http: web.Request) -> web.Response:
        name = self._guard.name_of(http)
        return _json({"name": name, "needs_key": name is None, "asks": self._guard.asks_for_keys, "version": version()})

    async def _log_in(self, http: web.Request) -> web.Response:
        return self._guard.log_in(http, (await _body(http, LoginWish)).key)

    async def _log_out(self, http: web.Request) -> web.Response:
        return self._guard.log_out(http)

    # -- many

    async def _list(self, http: web.Request) -> web.Response:
        asked = page_of(_query(http), time.time())
        began = time.perf_counter()
        found = await self._archive.ask(lambda records: page(records, asked))
        took_ms = (time.perf_counter() - began) * 1000
        return _json(
            {"rows": found.rows, "before": found.before, "searched_to": found.searched_to, "took_ms": round(took_ms, 1)}
        )

    async def _stats(self, http: web.Request) -> web.Response:
        which = filter_of({name: some for name, some in _query(http).items() if name not in NOT_FILTERS}, time.time())
        sums = await self._archive.ask(lambda records: sums_by(records, which, ["provider", "model"]))
        return _json({"rows": [{"provider": key[0], "model": key[1], **one.told()} for key, one in sums.items()]})

    async def _state(self, _http: web.Request) -> web.Response:
        return _json(await self._hub.state())

    async def _live(self, http: web.Request) -> web.StreamResponse:
        async with stream(http, self._hub) as told:
            await tell_list(self._hub, told)
        return told.response

    # -- one

    async def _exchange(self, http: web.Request) -> web.Response:
        def question(records: Records) -> dict[str, Any]:
            whole = _whole(records, http)
            id = whole.exchange["id"]
            return exchange_view(whole, records.events(id), records.tool_calls(id))

        return _json(await self._archive.ask(question))

    async def _exchange_live(self, http: web.Request) -> web.StreamResponse:
        id = http.match_info["id"]
        if not is_id(id):
            raise NotFound(f"{id!r} is no request id")
        async with stream(http, self._hub) as told:
            await tell_exchange(self._hub, told, id)
        return told.response

    async def _diff(self, http: web.Request) -> web.Response:
        call, is_raw, is_whole = (http.query.get("call") or None, "raw" in http.query, "all" in http.query)

        def question(records: Records) -> list[dict[str, Any]]:
            whole = _whole(records, http)
            return [
                {
                    "title": section.title,
                    "names": section.names,
                    "missing": [name for name, part in zip(section.names, section.parts, strict=True) if part is None],
                    "pairs": [(pair.kind, pair.left, pair.right) for pair in section.pairs(is_raw, is_whole)],
                }
                for section in sections(whole, compared_call(whole, call), is_raw)
            ]

        return _json({"sections": await self._archive.ask(question)})

    async def _part(self, http: web.Request) -> web.Response:
        """The bytes, to be kept: a browser never shows them as a page."""
        part = await self._the_part(http)
        name = f"{_file_name(http.match_info['id'])}-{_file_name(part.name)}"
        return _download(part.data or b"", name)

    async def _part_text(self, http: web.Request) -> web.Response:
        """A body as text; an event stream as what it comes to with `merged`."""
        part = await self._the_part(http)
        data = part.data or b""
        if "merged" in http.query and is_stream(part.content_type):
            found = understood(data, part.content_type)
            data = msgspec.json.encode(found) if found is not None else data
        text = data[:SHOWN_BYTES].decode("utf-8", "replace")
        return _json({**part_view(part), "text": text, "is_cut": len(data) > SHOWN_BYTES, "is_gone": part.data is None})

    async def _chunks(self, http: web.Request) -> web.Response:
        return _json({"chunks": chunks_view(await self._the_part(http))})

    async def _the_part(self, http: web.Request) -> Part:
        def question(records: Records) -> Part:
            exchange = records.get(http.match_info["id"], "id")
            found = records.parts(exchange["id"]).get(http.match_info["part"])
            if found is None:
                raise NotFound(f"exchange {exchange['number']} has no part {http.match_info['part']!r}")
            return found

        return await self._archive.ask(question)

    async def _export(self, http: web.Request) -> web.Response:
        shape = _shape(http.match_info["shape"], http.query.get("call") or None)

        def question(records: Records) -> tuple[bytes, str]:
            whole = _whole(records, http)
            name = file_name(whole.exchange, whole.is_chat).removesuffix(".json")
            try:
                return shape.before + shape.piece(whole) + shape.after, f"{name}{shape.suffix}"
            except LeftOut as why:
                raise NotFound(f"this exchange can't be exported so: {why}") from None

        data, name = await self._archive.ask(question)
        return _download(data, _file_name(name))

    async def _mark(self, http: web.Request) -> web.Response:
        changes = _changes(await _body(http, MarkWish))
        exchange = await self._archive.ask(lambda records: records.get(http.match_info["id"], "id"))
        await self._archive.mark(exchange["id"], changes)
        marks = await self._archive.ask(lambda records: records.marks(exchange["id"]))
        return _json({"marks": {"category": marks.category, "tags": marks.tags, "notes": marks.notes}})

    async def _cancel(self, http: web.Request) -> web.Response:
        id = http.match_info["id"]
        if not is_id(id):
            raise NotFound(f"{id!r} is no request id")
        cancel = Cancel(by="operator", why="stopped in the dashboard")
        await self._hub.worker.bus.publish(self._hub.worker.subjects.cancel(id), encode(cancel))
        return _json({})


def _whole(records: Records, http: web.Request) -> Whole:
    return Whole.read(records, records.get(http.match_info["id"], "any"))


def _shape(name: str, call: str | None) -> Shape:
    shapes: dict[str, Callable[[], Shape]] = {
        "moonpalace": lambda: moonpalace_shape(call, escape_html=False),
        "curl": lambda: curl_shape(call),
        "har": har_shape,
        **{name: lambda name=name: JSONL[name] for name in JSONL},  # type: ignore[misc]
    }
    if name not in shapes:
        raise NotFound(f"no export is called {name!r}; there are {', '.join(shapes)}")
    return shapes[name]()


def _changes(wish: MarkWish) -> MarkChanges:
    if wish.category not in (None, "", "good", "bad"):
        raise Unclear("category", "good, bad, or nothing")
    try:
        for name, texts in ((TAG, wish.tags), (NOTE, wish.notes)):
            for text in texts:
                check(name, text)
    except Unmarkable as error:
        raise Unclear("marks", str(error)) from None
    category: Category | None = "good" if wish.category == "good" else "bad" if wish.category == "bad" else None
    return MarkChanges(
        category=category,
        clears_category=wish.category == "",
        tags=wish.tags,
        untags=wish.untags,
        notes=wish.notes,
        unnotes=wish.unnotes,
    )


async def _body(http: web.Request, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(await http.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Denied(400, "unclear", f"The body is not what was expected: {error}") from None


def _query(http: web.Request) -> dict[str, list[str]]:
    return {name: http.query.getall(name) for name in http.query}


def _json(value: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", charset="utf-8")


def _download(data: bytes, name: str) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=data, content_type="application/octet-stream", headers=headers)


def _file_name(text: str) -> str:
    """Letters, digits and a few signs: nothing that a header or a file system reads otherwise."""
    return "".join(char if char.isascii() and (char.isalnum() or char in "-_.") else "-" for char in text)[:120]
