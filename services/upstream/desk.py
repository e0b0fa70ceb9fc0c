"""What the jobs of one upstream worker share."""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random

from services.upstream.board import Board
from services.upstream.calls import Account, Caller
from services.upstream.gates import Gates
from services.upstream.rules.budget import Budget
from services.upstream.rules.latencies import Latencies
from services.upstream.rules.retries import Standing, Tries
from shared.config import Settings, Target
from shared.worker import Worker


@dataclass(kw_only=True)
class Desk:
    settings: Settings
    caller: Caller
    budgets: dict[str, Budget]  # by provider
    latencies: Latencies
    board: Board
    gates: Gates
    random: Random
    worker: Worker

    def tries(self, ranked: tuple[Target, ...]) -> Tries:
        providers = self.settings.providers
        return Tries(
            ranked,
            policy=lambda target: providers[target.provider].retry,
            take=lambda target: self.budgets[target.provider].take(),
            deadline=time.monotonic() + self.settings.upstream.deadline_s,
            random=self.random,
        )

    def account(self, provider: str) -> Account | None:
        return self.caller.account(provider)

    @property
    def accounts(self) -> dict[str, Account]:
        return self.caller.accounts

    def is_current(self, provider: str) -> bool:
        """Whether the provider is still spoken to as it is from here: else what it says concerns nobody else."""
        return self.board.accounts.get(provider) == self.account(provider)

    def continues(self, target: Target) -> bool:
        return self.settings.providers[target.provider].continues_text

    def look(self, target: Target, tokens: float) -> Standing:
        """How a target is just now, for a call of so many tokens."""
        standing = self.board.look(target)
        if standing is Standing.READY and not self.gates.has_room(target.provider, tokens):
            return Standing.BUSY
        return standing
