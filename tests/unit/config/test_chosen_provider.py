"""A request that names its provider goes there, whatever `models` and `routes` say."""

from __future__ import annotations

from shared.config import decide, load, provider_by_route
from shared.config.routes import PROVIDER_HEADER

PROVIDERS = {name: {"kind": "openai", "base_url": f"http://{name}.invalid/v1"} for name in ("one", "two")}
SETTINGS = load(
    environ={},
    overrides={
        "providers": PROVIDERS,
        "models": {"*": {"targets": [{"provider": "one"}]}},
        "routes": [{"when": {"model": "routed"}, "provider": "one"}],
    },
).settings


def test_the_named_provider_wins_over_models_and_routes() -> None:
    for model in ("any", "routed"):
        decision = decide(SETTINGS, model, None, {PROVIDER_HEADER: "two"})
        assert decision is not None
        assert [(target.provider, target.model) for target in decision.model.targets] == [("two", model)]


def test_a_provider_that_is_not_there_serves_nothing() -> None:
    assert decide(SETTINGS, "any", None, {PROVIDER_HEADER: "three"}) is None


def test_what_is_handed_through_goes_there_too() -> None:
    assert provider_by_route(SETTINGS, None, None, {PROVIDER_HEADER: "two"}) == "two"
