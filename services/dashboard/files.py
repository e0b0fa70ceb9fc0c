"""The page's own files, read once: what is not among them does not exist."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from aiohttp import web

FOLDER = Path(__file__).with_name("static")
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class StaticFile:
    data: bytes
    content_type: str
    tag: str


class StaticFiles:
    def __init__(self) -> None:
        self._files = {path.name: _read(path) for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES}

    def answer(self, name: str, known: str | None) -> web.Response:
        """The file, or that it is the one that the browser has."""
        file = self._files.get(name)
        if file is None:
            raise web.HTTPNotFound
        headers = {"ETag": file.tag, "Cache-Control": "no-cache"}
        if known == file.tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.data, content_type=file.content_type, charset="utf-8", headers=headers)


def _read(path: Path) -> StaticFile:
    data = path.read_bytes()
    return StaticFile(data, TYPES[path.suffix], f'"{sha256(data).hexdigest()[:32]}"')
