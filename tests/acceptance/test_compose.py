"""compose.yaml as an operator uses it: the demo profile with four normalizers, one request, and what they can see.

MOONTIDE_IMAGE, where it is set, is used as it is; else the image is built first.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import openai
import pytest

from services.cli.nats_config import password_of
from shared.rights import rights
from shared.subjects import Subjects

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[2]
NORMALIZERS = 4
CLIENT_KEY = "mt-0123456789abcdef"
BUILD_S = 600
UP_S = 180
READY_S = 30
UP = ("up", "-d", "--no-build", "--scale", f"normalizer={NORMALIZERS}")
WORKERS = {
    **{"ingress": 1, "upstream": 1, "normalizer": NORMALIZERS, "enforcer": 1},
    **{"sentinel": 1, "recorder": 1, "dashboard": 1},
}


@dataclass(frozen=True)
class Stack:
    """A compose project of its own, which disturbs no other one on this machine."""

    project: str
    environ: dict[str, str]

    def run(self, *arguments: str, limit_s: float = 60) -> subprocess.CompletedProcess[str]:
        command = ["docker", "compose", "-p", self.project, "--profile", "demo", *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.environ, capture_output=True, text=True, timeout=limit_s)

    def compose(self, *arguments: str, limit_s: float = 60) -> str:
        """What the command wrote to stdout; raises with everything it wrote."""
        done = self.run(*arguments, limit_s=limit_s)
        if done.returncode:
            raise AssertionError(f"{' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    @property
    def url(self) -> str:
        return f"http://{self.compose('port', 'ingress', '9988').strip()}"

    def containers(self, service: str = "") -> list[dict[str, Any]]:
        """`docker inspect` of each container."""
        ids = self.compose("ps", "-q", *([service] if service else [])).split()
        shown = subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True, check=True)
        found: list[dict[str, Any]] = json.loads(shown.stdout)
        return found


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    keys = tmp_path_factory.mktemp("compose") / "client-keys.yaml"
    keys.write_text(f"default: {CLIENT_KEY}\n")
    keys.chmod(0o444)
    project = f"moontide-test-{os.getpid()}-{uuid4().hex[:6]}"  # `.ci/run` knows what a killed run left by this name
    environ = {
        **os.environ,
        "COMPOSE_ENV_FILES": os.devnull,  # an operator's own .env is no part of the test
        "MOONTIDE_IMAGE": os.environ.get("MOONTIDE_IMAGE", f"{project}:test"),
        "MOONTIDE_CONFIG_FILE": "./deploy/demo.yaml",
        "MOONTIDE_CLIENT_KEYS_FILE": str(keys),
        **{password_of(user): password(user) for user in rights(Subjects())},
        "INGRESS_PORT": "0",
        "DASHBOARD_PORT": "0",
    }
    stack = Stack(project, environ)
    try:
        if "MOONTIDE_IMAGE" not in os.environ:
            stack.compose("build", "ingress", limit_s=BUILD_S)
        start(stack)
        yield stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans", "--timeout", "5", limit_s=120)
        if "MOONTIDE_IMAGE" not in os.environ:
            subprocess.run(["docker", "rmi", "-f", f"{project}:test"], capture_output=True, check=False)


def password(user: str) -> str:
    """One that NATS would take for a number, were it not quoted."""
    return f"12e{list(rights(Subjects())).index(user)}"


def start(stack: Stack) -> None:
    try:
        stack.compose(*UP, "--wait", "--wait-timeout", str(UP_S), limit_s=UP_S + 60)
    except AssertionError as error:
        logs = stack.compose("logs", "--no-color", "--tail", "30")
        raise AssertionError(f"{error}\n{logs}") from None


def eventually(check: Callable[[], bool], limit_s: float = READY_S) -> None:
    deadline = time.monotonic() + limit_s
    while not check():
        assert time.monotonic() < deadline, f"not so within {limit_s} s"
        time.sleep(0.2)


def status(request: str | urllib.request.Request) -> int:
    """0 while nobody answers."""
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def workers(stack: Stack) -> list[dict[str, Any]]:
    """The heartbeats that `moontide workers --json` prints, one a line."""
    heard = stack.compose("exec", "-T", "ingress", "moontide", "workers", "--json")
    return [json.loads(line) for line in heard.splitlines()]


def count(found: list[dict[str, Any]], service: str) -> int:
    return sum(worker["service"] == service for worker in found)


def violations(stack: Stack) -> list[str]:
    """What the server refused, since its container was made."""
    return [line for line in stack.compose("logs", "--no-color", "nats").splitlines() if "Violation" in line]


def test_the_ingress_is_ready_once_every_stage_answers(stack: Stack) -> None:
    eventually(lambda: status(f"{stack.url}/readyz") == 200)


def test_every_worker_is_on_the_bus(stack: Stack) -> None:
    found = workers(stack)

    assert {service: count(found, service) for service in WORKERS} == WORKERS


def test_a_chat_completion_comes_through(stack: Stack) -> None:
    with openai.OpenAI(base_url=f"{stack.url}/v1", api_key=CLIENT_KEY, max_retries=0, timeout=30) as client:
        answer = client.chat.completions.create(model="sim/text", messages=[{"role": "user", "content": "Hello"}])

    assert answer.choices[0].message.content


def test_a_streamed_chat_completion_comes_through(stack: Stack) -> None:
    with openai.OpenAI(base_url=f"{stack.url}/v1", api_key=CLIENT_KEY, max_retries=0, timeout=30) as client:
        chunks = list(
            client.chat.completions.create(
                model="sim/text", messages=[{"role": "user", "content": "Hello"}], stream=True
            )
        )

    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_client_without_the_key_is_refused(stack: Stack) -> None:
    asked = urllib.request.Request(f"{stack.url}/v1/models", headers={"Authorization": "Bearer mt-wrong"})

    assert status(asked) == 401


def test_the_exchange_is_recorded(stack: Stack) -> None:
    def recorded() -> bool:
        return "sim/text" in stack.run("exec", "-T", "recorder", "moontide", "list", "--json").stdout

    eventually(recorded)


def test_no_container_is_root_or_can_write_or_gain_rights(stack: Stack) -> None:
    for container in stack.containers():
        host, name = container["HostConfig"], container["Name"]
        assert container["Config"]["User"] == "10001:10001", name
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert not host["Privileged"], name


def test_provider_keys_and_client_keys_are_only_where_they_are_needed(stack: Stack) -> None:
    for container in stack.containers():
        service = container["Config"]["Labels"]["com.docker.compose.service"]
        environ = " ".join(container["Config"]["Env"])
        mounts = {mount["Destination"] for mount in container["Mounts"]}
        assert ("SIM_API_KEY" in environ) == (service == "upstream"), service
        assert ("/run/secrets/client-keys" in mounts) == (service in ("ingress", "dashboard")), service
        assert CLIENT_KEY not in environ, service


def test_each_container_has_the_password_of_its_own_user_alone(stack: Stack) -> None:
    for container in stack.containers():
        service = container["Config"]["Labels"]["com.docker.compose.service"]
        environ = container["Config"]["Env"]
        users = [user for user in rights(Subjects()) if any(f"//{user}:{password(user)}@" in one for one in environ)]
        assert users == ([service] if service in rights(Subjects()) else []), service


def test_the_tap_can_watch_and_not_cancel(stack: Stack) -> None:
    watched = stack.compose("run", "--rm", "--no-deps", "-T", "tap", "workers", "--json")
    refused = stack.run("run", "--rm", "--no-deps", "-T", "tap", "cancel", f"01J{'0' * 23}")

    assert {json.loads(line)["service"] for line in watched.splitlines()} == set(WORKERS)
    assert refused.returncode == 1
    eventually(lambda: any("user:tap" in line and "Publish Violation" in line for line in violations(stack)))


def test_another_normalizer_takes_over_when_one_is_killed(stack: Stack) -> None:
    victim = stack.containers("normalizer")[0]["Id"]
    subprocess.run(["docker", "kill", victim], capture_output=True, check=True)
    with openai.OpenAI(base_url=f"{stack.url}/v1", api_key=CLIENT_KEY, max_retries=0, timeout=30) as client:
        answer = client.chat.completions.create(model="sim/text", messages=[{"role": "user", "content": "Hello"}])

    assert answer.choices[0].message.content
    eventually(lambda: count(workers(stack), "normalizer") == NORMALIZERS - 1)


def test_the_server_has_nothing_to_refuse_the_services(stack: Stack) -> None:
    assert [line for line in violations(stack) if "user:tap" not in line] == []


def test_a_password_is_changed_for_a_user_and_the_others_come_back(stack: Stack) -> None:
    stack.environ[password_of("ingress")] = "12e99"
    stack.compose(*UP, limit_s=UP_S)

    eventually(lambda: status(f"{stack.url}/readyz") == 200, UP_S)
    eventually(lambda: count(workers(stack), "normalizer") == NORMALIZERS, UP_S)
