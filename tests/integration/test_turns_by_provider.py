"""The enforcer in front of every kind of provider, each as strict as the real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.provider_sim.main import Served
from tests.fixtures.google import service_account
from tests.fixtures.pipeline import Answer, pipeline, simulators

pytestmark = [pytest.mark.backend, pytest.mark.once]

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ENVIRON = {"KEY": "sk-sim"}
RULES = {"ensure_tool_call": {}, "check_tool_calls": {}}


def provider(kind: str, simulated: Served, folder: Path) -> dict[str, Any]:
    if kind == "vertex":
        (folder / "key.json").write_text(service_account(simulated.url))
        base = f"{simulated.url}/v1/projects/my-project/locations/global/endpoints/openapi"
        return {"kind": kind, "base_url": base, "credentials": f"file:{folder}/key.json"}
    url = simulated.url if kind == "anthropic" else simulated.base_url
    return {"kind": kind, "base_url": url, "api_key": "env:KEY"}


async def asked(nats_url: str, root: str, folder: Path, kind: str, model: str, stream: bool) -> Answer:
    async with simulators(1) as one:
        config = {
            "providers": {"it": provider(kind, one[0], folder)},
            "models": {"m": {"targets": [{"provider": "it", "model": model}], **RULES}},
        }
        async with pipeline(nats_url, root, config, environ=ENVIRON) as running:
            return await running.ask("m", stream=stream, tools=[WEATHER], max_tokens=500)


@pytest.mark.parametrize("kind", ["openai", "moonshot", "openrouter", "anthropic", "vertex"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
@pytest.mark.parametrize("behaviour", ["forgetful?thoughts=3", "forgetful?then=done&thoughts=3", "careless?calls=2"])
async def test_a_turn_that_has_to_be_asked_again(
    nats_url: str, bus_root: str, tmp_path: Path, kind: str, stream: bool, behaviour: str
) -> None:
    strict = "+strict" if kind == "moonshot" else ""
    name, _, parameters = behaviour.partition("?")
    answer = await asked(nats_url, bus_root, tmp_path, kind, f"sim/{name}{strict}?{parameters}", stream)
    body = answer.body.decode()

    assert (answer.status, answer.error) == (200, None)
    assert ("All done: 42" in answer.text()) == ("then=done" in behaviour)
    assert ('"get_weather"' in body) == ("then=done" not in behaviour)
    assert '"done"' not in body
