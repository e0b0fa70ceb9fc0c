"""Whether a provider that speaks of money is really out of it: its balance endpoint is asked."""

from __future__ import annotations

import time
from dataclasses import replace

import aiohttp
import anyio
import structlog

from services.upstream.desk import Desk
from services.upstream.rules.balances import PATHS, balance_of
from services.upstream.rules.circuits import CLOSED
from services.upstream.rules.verdicts import Verdict
from shared.contracts import ProviderState

ANSWERS_WITHIN_S = 10.0
EVERY_S = 60.0  # while a provider is out of money: has somebody paid?

log = structlog.get_logger("balances")


class Balances:
    """Asks, and tells the board."""

    def __init__(self, desk: Desk, session: aiohttp.ClientSession) -> None:
        self.desk = desk  # of the settings in force
        self._session = session
        self._board = desk.board

    async def confirm(self, state: ProviderState) -> None:
        """After a provider said that there is no money: notes what is left, and lets it be asked again if there is."""
        if state.state != "shut" or state.why != Verdict.QUOTA.value or state.balance is not None:
            return
        balance = await self._ask(state.provider)
        if balance is None or state.provider not in self.desk.settings.providers:
            return
        circuit = self._board.circuit(state.provider)
        if balance > 0:  # a limit of the key or the project: not for good
            soon = time.time() + self.desk.settings.providers[state.provider].circuit.open_s
            circuit = replace(circuit, state="open", until=min(circuit.until, soon))
        self._board.set(state.provider, circuit, f"{balance:g}")

    async def watch(self) -> None:
        """As soon as somebody has paid, calls go there again."""
        while True:
            await anyio.sleep(EVERY_S)
            for name in list(self.desk.settings.providers):
                circuit = self._board.circuit(name)
                if circuit.state == "shut" and circuit.why == Verdict.QUOTA.value and (await self._ask(name) or 0) > 0:
                    self._board.set(name, CLOSED, None)

    async def _ask(self, name: str) -> float | None:
        provider = self.desk.settings.providers.get(name)
        if provider is None or provider.kind not in PATHS:
            return None
        url = provider.base_url + PATHS[provider.kind]
        timeout = aiohttp.ClientTimeout(total=ANSWERS_WITHIN_S)
        try:
            async with self._session.get(url, headers=self.desk.caller.credentials(name), timeout=timeout) as response:
                return balance_of(await response.read()) if response.status == 200 else None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("balance.unknown", provider=name, error=str(error) or type(error).__name__)
            return None
