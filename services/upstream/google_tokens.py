"""Access tokens of Google Cloud, fresh before they are needed. google-auth blocks, so it works in a thread."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from calendar import timegm
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import google.auth
import google.auth.transport
import structlog
from google.auth.exceptions import GoogleAuthError, TransportError
from google.oauth2 import credentials as oauth2
from google.oauth2 import service_account

from shared.contracts import Fault
from shared.errors import SecretError, Unavailable
from shared.secrets import Secret

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
EARLY_S = 600.0  # a token that lasts no longer than this is replaced; they last for an hour
SOONEST_S = 1.0  # between two tokens, however briefly they last
PAUSES_S = (1.0, 2.0, 5.0, 15.0, 60.0)  # between attempts that fail; the last one repeats
HTTP_TIMEOUT_S = 20.0
FIRST_WITHIN_S = 3.0  # how long a starting worker waits for its first token

log = structlog.get_logger("google")


class Tokens:
    """The token of one provider. Has the face of a `Secret`: `reveal()` gives what is valid now."""

    def __init__(self, provider: str, credentials: Any, source: Secret | None = None) -> None:
        self.source = source  # the key that they are made with; None = what this machine may do
        self._provider = provider
        self._credentials = credentials
        self._why = "none has come yet"
        self._valid_until = 0.0
        self._token = ""
        self._retired = False
        self._rejected = anyio.Event()
        self._refreshed = anyio.Event()  # the next attempt, whatever comes of it

    def reveal(self) -> str:
        """The token; raises Unavailable while there is none."""
        if time.time() >= self._valid_until:
            message = f"The provider {self._provider} has no access token from Google: {self._why}"
            raise Unavailable(Fault(status=503, code="no_google_token", message=message, retry_after_s=PAUSES_S[0]))
        return self._token

    def retire(self) -> None:
        """No more tokens are needed; the last one serves what is still in hand."""
        self._retired = True
        self._rejected.set()

    async def renew(self) -> bool:
        """The provider doesn't take the token, whatever its time: whether there is another one."""
        before = self._token
        self._rejected.set()
        with anyio.move_on_after(FIRST_WITHIN_S):
            await self._refreshed.wait()
        return self._token != before

    async def until_first(self) -> None:
        """Returns when the first token was asked for, whatever came of it."""
        if self._token:
            return
        with anyio.move_on_after(FIRST_WITHIN_S):
            await self._refreshed.wait()

    async def keep_fresh(self) -> None:
        """Until cancelled, or no longer needed."""
        failures = 0
        while not self._retired:
            succeeded = await self._refresh()
            self._refreshed.set()
            self._refreshed = anyio.Event()
            failures = 0 if succeeded else failures + 1
            lasts_s = max(SOONEST_S, self._valid_until - time.time() - EARLY_S)
            pause_s = lasts_s if succeeded else PAUSES_S[min(failures, len(PAUSES_S)) - 1]
            self._rejected = anyio.Event()
            with anyio.move_on_after(pause_s):
                await self._rejected.wait()

    async def _refresh(self) -> bool:
        try:
            self._credentials = self._credentials or await _run(_of_this_machine)
            await _run(self._credentials.refresh, _Http())
        except (GoogleAuthError, OSError, ValueError) as error:
            self._why = str(error.args[0] if error.args else error)
            log.warning("google.no_token", provider=self._provider, error=self._why)
            return False
        self._token = self._credentials.token
        self._valid_until = timegm(self._credentials.expiry.utctimetuple())  # google-auth keeps UTC without saying so
        return True


def credentials_text(text: str) -> str:
    """A service account's key, which is `text` or in the file of that path; raises SecretError."""
    if text.lstrip().startswith("{"):
        return text
    try:
        return Path(text).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise SecretError(f"Google credentials: {error.filename} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise SecretError(f"Google credentials: not the key of a service account ({error})") from None


def credentials_of(text: str) -> Any:
    """What a service account's key, or the path of a file with one, stands for; raises SecretError."""
    try:
        info = json.loads(credentials_text(text))
        return _KINDS[info["type"]](info, scopes=SCOPES)
    except (ValueError, KeyError, TypeError, GoogleAuthError) as error:
        reason = "no JSON" if isinstance(error, json.JSONDecodeError) else str(error).partition("\n")[0]
        raise SecretError(f"Google credentials: not the key of a service account ({reason})") from None


_KINDS: dict[str, Any] = {
    "service_account": service_account.Credentials.from_service_account_info,
    "authorized_user": oauth2.Credentials.from_authorized_user_info,
}


def _of_this_machine() -> Any:
    """What the machine itself may do: in Google's cloud, or after `gcloud auth application-default login`."""
    return google.auth.default(scopes=SCOPES)[0]


async def _run(work: Any, *args: Any) -> Any:
    return await anyio.to_thread.run_sync(work, *args, abandon_on_cancel=True)


class _Answer(google.auth.transport.Response):
    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self._status, self._headers, self._data = status, headers, data

    @property
    def status(self) -> int:
        return self._status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._headers

    @property
    def data(self) -> bytes:
        return self._data


class _Http(google.auth.transport.Request):
    """google-auth's way to the network, without another HTTP library."""

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> _Answer:
        if not url.startswith(("https://", "http://")):
            raise TransportError(f"{url} is no address of a token endpoint")  # type: ignore[no-untyped-call]
        request = urllib.request.Request(url, data=body, headers=dict(headers or {}), method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=timeout or HTTP_TIMEOUT_S) as answer:  # noqa: S310
                return _Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return _Answer(error.code, dict(error.headers), error.read())
        except OSError as error:
            raise TransportError(f"{url} cannot be reached: {error}") from error  # type: ignore[no-untyped-call]
