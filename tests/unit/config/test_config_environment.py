"""Every key has a MOONTIDE_ variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.config import Settings, load
from shared.errors import ConfigError


def settings(**environ: str) -> Settings:
    return load(environ=environ).settings


def problems(**environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(environ=environ)
    return [str(problem) for problem in caught.value.problems]


def test_a_key_is_its_path_in_capitals() -> None:
    assert settings(MOONTIDE_INGRESS_PORT="8080").ingress.port == 8080
    assert settings(MOONTIDE_BUS_CAPTURE_MAX_AGE_S="60").bus.capture.max_age_s == 60
    assert settings(MOONTIDE_BUS_ROOT="007").bus.root == "007"


def test_a_providers_name_is_part_of_the_path() -> None:
    moonshot = settings(MOONTIDE_PROVIDERS_MOONSHOT_BASE_URL="https://api.moonshot.cn/v1").providers["moonshot"]

    assert (moonshot.kind, moonshot.base_url) == ("moonshot", "https://api.moonshot.cn/v1")


def test_names_with_other_characters_are_written_with_underscores(tmp_path: Path) -> None:
    file = tmp_path / "moontide.yaml"
    file.write_text("models: {kimi-k2.6: {targets: [{provider: moonshot}]}}")
    environ = {"MOONTIDE_MODELS_KIMI_K2_6_STRATEGY": "round_robin", "MOONTIDE_MODELS_KIMI_K2_6_REPAIR_ENABLED": "false"}
    model = load(environ=environ, file=file).settings.models["kimi-k2.6"]

    assert (model.strategy, model.repair.enabled) == ("round_robin", False)


def test_a_provider_can_be_made_of_variables_alone() -> None:
    providers = settings(
        MOONTIDE_PROVIDERS_MINE_KIND="openai", MOONTIDE_PROVIDERS_MINE_BASE_URL="http://localhost:8000/v1"
    ).providers

    assert list(providers) == ["moonshot", "mine"]


def test_a_section_is_yaml_or_json_and_replaces_what_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "moontide.yaml"
    file.write_text("models: {kimi: {targets: [{provider: moonshot}]}}")
    environ = {
        "MOONTIDE_MODELS": '{"k3": {"targets": [{"provider": "moonshot"}]}}',
        "MOONTIDE_MODELS_K3_DROP": "[seed]",
    }
    models = load(environ=environ, file=file).settings.models

    assert list(models) == ["k3"]
    assert models["k3"].drop == ("seed",)


def test_short_names_stand_for_the_keys_that_are_set_most() -> None:
    found = settings(
        MOONTIDE_HOST="localhost",
        MOONTIDE_PORT="1",
        MOONTIDE_NATS_URL="nats://u:p@nats:4222",
        MOONTIDE_RECORDS_URL="sqlite:////tmp/r.db",
        MOONTIDE_HOME="/var/lib/moontide",
    )

    assert (found.ingress.host, found.ingress.port) == ("localhost", 1)
    assert (found.bus.url, found.records[0].url) == ("nats://u:p@nats:4222", "sqlite:////tmp/r.db")
    assert found.home == "/var/lib/moontide"


def test_the_long_name_wins_over_the_short_one() -> None:
    assert settings(MOONTIDE_PORT="1", MOONTIDE_INGRESS_PORT="2").ingress.port == 2


def test_the_records_follow_home() -> None:
    assert settings(MOONTIDE_HOME="/data").records[0].url == "sqlite:////data/records.db"


def test_an_empty_variable_says_nothing() -> None:
    assert settings(MOONTIDE_PORT="", MOONTIDE_NATS_URL=" ") == settings()


def test_a_problem_names_the_variable() -> None:
    assert problems(MOONTIDE_PORT="many") == [
        "MOONTIDE_PORT: ingress.port: must be a whole number from 0 to 65535, not 'many'"
    ]
    assert problems(MOONTIDE_MODELS="{kimi: {targets: [{provider: nobody}]}}") == [
        "MOONTIDE_MODELS: models.kimi.targets[0].provider: no provider is called nobody; there are: moonshot"
    ]
    assert problems(MOONTIDE_MODELS="{kimi: ")[0].startswith("MOONTIDE_MODELS: models: not valid YAML")


def test_an_unknown_variable_is_reported_with_the_nearest_known_one() -> None:
    assert problems(MOONTIDE_INGRES_PORT="1") == [
        "MOONTIDE_INGRES_PORT: no setting has this variable; did you mean MOONTIDE_INGRESS_PORT?"
    ]
    assert problems(MOONTIDE_PROVIDERS_MOONSHOT_BASE_URLL="x") == [
        "MOONTIDE_PROVIDERS_MOONSHOT_BASE_URLL: no setting has this variable; "
        "did you mean MOONTIDE_PROVIDERS_MOONSHOT_BASE_URL?"
    ]


def test_a_misspelt_providers_name_is_an_incomplete_provider() -> None:
    assert "MOONTIDE_PROVIDERS_MOONSHTO_API_KEY: providers.moonshto.kind: missing" in "\n".join(
        problems(MOONTIDE_PROVIDERS_MOONSHTO_API_KEY="env:HOME", HOME="/root")
    )


ENSURE = {"MOONTIDE_MODELS_KIMI_ENSURE_TOOL_CALL": "{mode: buffer}"}
KIMI = {"MOONTIDE_MODELS_KIMI_TARGETS": "[{provider: moonshot}]"}
PROXYS = "ENSURE_TOOL_CALL_MAX_ATTEMPTS"


@pytest.mark.parametrize(("said", "attempts"), [({}, 3), ({PROXYS: "2"}, 2), ({PROXYS: "9"}, 5), ({PROXYS: " "}, 3)])
def test_kimi_proxys_variable_says_how_often_a_turn_is_asked(said: dict[str, str], attempts: int) -> None:
    ensure = settings(**KIMI, **ENSURE, **said).models["kimi"].ensure_tool_call

    assert ensure is not None
    assert (ensure.max_attempts, ensure.mode) == (attempts, "buffer")


def test_what_the_configuration_says_of_it_wins_over_kimi_proxys_variable() -> None:
    own = {"MOONTIDE_MODELS_KIMI_ENSURE_TOOL_CALL_MAX_ATTEMPTS": "4"}
    ensure = settings(**KIMI, **own, **{PROXYS: "2"}).models["kimi"].ensure_tool_call

    assert ensure is not None
    assert ensure.max_attempts == 4


def test_kimi_proxys_variable_switches_nothing_on() -> None:
    assert settings(**KIMI, **{PROXYS: "2"}).models["kimi"].ensure_tool_call is None


def test_a_bad_value_of_kimi_proxys_variable_is_named() -> None:
    assert problems(**KIMI, **ENSURE, **{PROXYS: "many"}) == [
        f"{PROXYS}: models.kimi.ensure_tool_call.max_attempts: must be a whole number from 1 to 5, not 'many'"
    ]


def test_what_kubernetes_sets_for_a_service_called_moontide_is_passed_over() -> None:
    found = settings(
        MOONTIDE_SERVICE_HOST="10.0.0.1",
        MOONTIDE_SERVICE_PORT_HTTP="9988",
        MOONTIDE_PORT="tcp://10.0.0.1:9988",
        MOONTIDE_PORT_9988_TCP_ADDR="10.0.0.1",
    )

    assert found == settings()


def test_an_item_of_a_list_is_its_number() -> None:
    assert settings(MOONTIDE_RECORDS_0_KEEP_DAYS="7", MOONTIDE_RECORDS_URL="sqlite:///r.db").records[0].keep_days == 7


def test_a_new_entry_can_be_a_section_of_its_own() -> None:
    models = settings(MOONTIDE_MODELS_K3="{targets: [{provider: moonshot, model: kimi-k3}]}").models

    assert models["k3"].targets[0].model == "kimi-k3"
