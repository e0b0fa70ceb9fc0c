"""What clients are told where the provider refuses our own key: not the provider's words, which name our account.

Those stay in the record, in `moontide providers` and in the alert, which are for whoever runs Moontide.
"""

from __future__ import annotations

import msgspec

from services.upstream.rules.verdicts import Verdict
from shared.contracts import Fault


def in_our_words(provider: str, verdict: Verdict, fault: Fault) -> Fault:
    """A refusal of our key or our account, without the provider's text; any other fault as it is."""
    if not verdict.shuts:
        return fault
    what = "has no money left for" if verdict is Verdict.QUOTA else "refuses"
    message = f"The provider {provider} {what} the key that Moontide calls it with. {remedy(provider, verdict.value)}"
    return msgspec.structs.replace(fault, message=message, body=None, param=None)


def remedy(provider: str, why: str) -> str:
    """What whoever runs Moontide can do about a shut circuit; `why` is a verdict's value."""
    again = f"`moontide providers reset {provider}` has it asked again at once"
    if why == Verdict.QUOTA.value:
        return f"Whoever runs Moontide: top up the account; {again}."
    return f"Whoever runs Moontide: mend the key of providers.{provider}, which is taken up without a restart; {again}."
