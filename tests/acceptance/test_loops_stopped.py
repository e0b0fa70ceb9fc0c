"""`moontide up --detect-repeat`, with OpenAI's SDK in front of a model that can't stop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.installation import MESSAGES, Installation, Simulator, installed, sim_model

LOOP = sim_model("loop", delay_ms=1, length=6000)
EARLY = 3000


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory, simulator: Simulator) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("watching")
    with installed(folder, simulator, "--detect-repeat", "--repeat-threshold", "0.5") as installation:
        yield installation


def test_a_stream_ends_with_the_finish_reason_repeat(watching: Installation) -> None:
    with watching.client() as client:
        stream = client.chat.completions.create(
            model=LOOP, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
    choices = [choice for chunk in chunks for choice in chunk.choices]

    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["repeat"]
    assert len("".join(choice.delta.content or "" for choice in choices)) < EARLY
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 100


def test_a_plain_answer_ends_likewise_and_the_record_says_so(watching: Installation) -> None:
    with watching.client() as client:
        raw = client.chat.completions.with_raw_response.create(model=LOOP, messages=MESSAGES)
    completion, id = raw.parse(), raw.headers["X-Moontide-Request-Id"]
    record = watching.record(id)

    assert completion.choices[0].finish_reason == "repeat"
    assert completion.usage is not None
    assert record["metadata"]["state"] == "done"
    assert "stopped" in watching.moontide("inspect", id)
    assert "stopped" in watching.moontide("list", "-v")
    assert "finish_reason=repeat: the answer ran in a loop and was stopped" in watching.up.said


def test_a_sentinel_is_there_before_it_is_needed_for_settings_may_change(
    watching: Installation, moontide: Installation
) -> None:
    assert len(watching.workers("sentinel")) == 1
    assert len(moontide.workers("sentinel")) == 1
