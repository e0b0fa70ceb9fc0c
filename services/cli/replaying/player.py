"""A provider that answers as recorded: the first request gets the first call's answer, and so on, whoever asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from aiohttp import web

from services.cli.replaying.recording import Answered

MAX_BODY_BYTES = 256 * 1024 * 1024
OVER = {
    "error": {
        "message": "The recording is over: the pipeline asks for a call that was not made then.",
        "type": "invalid_request_error",
        "code": "recording_over",
    }
}


class Player:
    """Answers on loopback. `speed` is that of the recording; None = as fast as it goes."""

    def __init__(self, calls: list[Answered], speed: float | None) -> None:
        self.asked: list[str] = []  # by whom each call was made: the provider's name
        self.url = ""
        self._calls = calls
        self._speed = speed

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[Player]:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{provider}/{rest:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, http: web.Request) -> web.StreamResponse:
        await http.read()
        self.asked.append(http.match_info["provider"])
        if len(self.asked) > len(self._calls):
            return web.json_response(OVER, status=400)
        call = self._calls[len(self.asked) - 1]
        await self._wait(call.first_byte_s)
        if call.ending == "unanswered":
            _cut(http)
            return web.Response()
        return await self._play(http, call)

    async def _play(self, http: web.Request, call: Answered) -> web.StreamResponse:
        response = web.StreamResponse(status=call.status, headers=self._headers(call))
        await response.prepare(http)
        played_us = 0
        for piece in call.pieces:
            await self._wait((piece.at_us - played_us) / 1e6)
            played_us = piece.at_us
            await response.write(piece.data.bytes)
        if call.ending == "broken":
            _cut(http)
        else:
            await response.write_eof()
        return response

    async def _wait(self, recorded_s: float) -> None:
        await anyio.sleep(0.0 if self._speed is None else max(0.0, recorded_s) / self._speed)

    def _headers(self, call: Answered) -> dict[str, str]:
        """When there is no waiting, nobody is asked to wait."""
        hurries = self._speed is None
        return {name: value for name, value in call.headers.items() if not (hurries and "retry-after" in name)}


def _cut(http: web.Request) -> None:
    if http.transport is not None:
        http.transport.close()
