"""What clients are told where a provider refuses our key: what to do, and nothing of the account."""

from __future__ import annotations

import pytest

from services.upstream.rules.remedies import in_our_words
from services.upstream.rules.verdicts import Verdict
from shared.contracts import Fault

FAULT = Fault(
    status=401, code="invalid_key", message="Invalid key of org-4711", body='{"error": "org-4711"}', param="org-4711"
)


@pytest.mark.parametrize(
    ("verdict", "remedy"),
    [(Verdict.AUTH, "mend the key of providers.moonshot"), (Verdict.QUOTA, "top up the account")],
)
def test_a_refused_key_is_told_with_its_remedy_and_without_the_providers_words(verdict: Verdict, remedy: str) -> None:
    told = in_our_words("moonshot", verdict, FAULT)

    assert remedy in told.message
    assert "`moontide providers reset moonshot`" in told.message
    assert (told.status, told.code, told.body, told.param) == (401, "invalid_key", None, None)
    assert "org-4711" not in repr(told)


@pytest.mark.parametrize("verdict", [one for one in Verdict if not one.shuts])
def test_everything_else_stays_in_the_providers_words(verdict: Verdict) -> None:
    assert in_our_words("moonshot", verdict, FAULT) is FAULT
