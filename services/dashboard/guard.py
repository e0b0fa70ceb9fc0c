"""What stands before every answer: whose page asks, who looks, and what a browser may do with what it gets."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from services.dashboard.rules.asking import Unclear
from services.dashboard.rules.doors import host_is_ours, origin_is_ours
from services.dashboard.rules.sessions import LASTS_S, Sessions
from shared.bus import BusUnavailable
from shared.config.client_keys import ClientKeys
from shared.records.database import NoRecords, RecordsUnavailable
from shared.records.queries import NotFound

COOKIE = "moontide_session"
API = "/ui/api/"
OPEN = ("/ui/api/me", "/ui/api/login")  # what may be asked without a key
MOST_BYTES = 64 * 1024  # of a request's body
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}

log = structlog.get_logger("dashboard")


class Denied(Exception):
    """Tell whoever asks."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Guard:
    def __init__(self, keys: ClientKeys | None, hosts: tuple[str, ...], clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self.adopt(keys, hosts)

    def adopt(self, keys: ClientKeys | None, hosts: tuple[str, ...]) -> None:
        """Other keys end every session: one of them may be of a key that is gone."""
        self._keys = keys
        self._hosts = frozenset(host.lower() for host in hosts)
        self._sessions = Sessions()

    @property
    def asks_for_keys(self) -> bool:
        return self._keys is not None

    @property
    def middleware(self) -> Middleware:
        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                self._check(request)
                return await handler(request)
            except Denied as denied:
                return refusal(denied.status, denied.code, str(denied))
            except Unclear as unclear:
                return refusal(400, "unclear", str(unclear), field=unclear.field)
            except NotFound as missing:
                return refusal(404, "not_found", str(missing))
            except NoRecords as missing:
                return refusal(404, "no_records", str(missing))
            except RecordsUnavailable as error:
                return refusal(503, "records_unavailable", f"the records can't be read: {error}")
            except BusUnavailable as error:
                return refusal(503, "bus_unavailable", str(error))
            except web.HTTPException as error:
                if error.status < 400:
                    raise
                return refusal(error.status, "http", error.reason)

        return guarded

    async def add_headers(self, _http: web.BaseRequest, response: web.StreamResponse) -> None:
        """Before any answer goes out, those that stream and those that went wrong among them."""
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)

    def _check(self, http: web.Request) -> None:
        """Raises Denied."""
        host = http.headers.get("Host", "")
        if not host_is_ours(host, self._hosts):
            name = host.rpartition(":")[0] or host
            message = f"This page is not asked for as {name!r}. If that is its name, add it to dashboard.hosts."
            raise Denied(421, "unknown_host", message)
        is_write = http.method not in ("GET", "HEAD")
        is_api = http.path.startswith(API)
        if not is_api and not is_write:
            return
        if not origin_is_ours(http.headers.get("Origin"), http.headers.get("Sec-Fetch-Site"), host):
            raise Denied(403, "other_site", "Another site's page asked for this.")
        if is_write:
            _check_body(http)
        if http.path not in OPEN and self.name_of(http) is None:
            raise Denied(401, "key_needed", "Log in with a key, or send `Authorization: Bearer <key>`.")

    def name_of(self, http: web.Request) -> str | None:
        """Who looks: empty where nobody is asked, None where somebody must say so."""
        if self._keys is None:
            return ""
        scheme, _, key = http.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._name_of_key(key.strip())
        return self._sessions.name_of(http.cookies.get(COOKIE), self._clock())

    def _name_of_key(self, key: str) -> str | None:
        """Raises Denied where too many wrong ones were tried."""
        now = self._clock()
        if not self._sessions.may_try(now):
            raise Denied(429, "too_many_tries", "Too many wrong keys were tried. Wait a minute.")
        name = self._keys.name_of(key) if self._keys is not None else None
        if name is None:
            self._sessions.was_wrong(now)
        return name

    def log_in(self, http: web.Request, key: str) -> web.Response:
        name = self._name_of_key(key)
        if name is None:
            log.info("dashboard.refused", peer=http.remote)
            raise Denied(401, "wrong_key", "This is none of the keys.")
        token = secrets.token_urlsafe(32)
        self._sessions.open(token, name, self._clock())
        response = web.json_response({"name": name})
        response.set_cookie(
            COOKIE, token, max_age=int(LASTS_S), path="/ui", httponly=True, samesite="Strict", secure=http.secure
        )
        return response

    def log_out(self, http: web.Request) -> web.Response:
        self._sessions.close(http.cookies.get(COOKIE, ""))
        response = web.json_response({})
        response.del_cookie(COOKIE, path="/ui")
        return response


def refusal(status: int, code: str, message: str, **more: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message, **more}}, status=status)


def _check_body(http: web.Request) -> None:
    """JSON of a known, small size. A form of another site's page could not send that type, and nothing else may."""
    if http.content_type != "application/json":
        raise Denied(415, "not_json", "Send `Content-Type: application/json`.")
    if http.content_length is None or http.content_length > MOST_BYTES:
        raise Denied(413, "too_large", f"Send a body of at most {MOST_BYTES} bytes, with its Content-Length.")
