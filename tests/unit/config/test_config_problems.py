"""Every problem is reported at once: where it stands, what is wrong, what would be right."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.config import load
from shared.config.document import read_document
from shared.config.not_yet import NOT_YET, NotYet, variables
from shared.errors import ConfigError

DESIGN = """\
bus:      {url: nats://127.0.0.1:4222}
records:
  - {url: sqlite:///~/.moontide/records.db, keep_days: 30}
  - {url: postgresql://db/moontide}
providers:
  moonshot:   {kind: moonshot, base_url: https://api.moonshot.ai/v1, api_key: "op://Aurora/moonshot/api_key"}
  openrouter: {kind: openrouter, prefer: {order: [moonshotai, novita]}}
  vertex:     {kind: vertex, project: my-project, location: global, credentials: file:/run/secrets/gcp.json}
  max-router: {kind: anthropic, base_url: http://127.0.0.1:18903, serves: ["claude-*"]}
  mine:       {kind: openai, base_url: http://127.0.0.1:8000/v1, continues: true}
models:
  kimi-k2-thinking:
    strategy: sticky
    targets:
      - {provider: moonshot, model: kimi-k2.6, tier: 1}
      - {provider: openrouter, model: moonshotai/kimi-k2-thinking, tier: 2, weight: 2}
    ensure_tool_call: {max_attempts: 3}
    repeat: {action: retry, threshold: 0.5, min_length: 100}
    repair:
      tool_call_ids: name_index
      history_ids: functions
routes:
  - {when: {client: max-*, model: "claude-*"}, provider: max-router}
"""


def problems(text: str, environ: dict[str, str] | None = None, folder: Path | None = None) -> list[str]:
    assert folder is not None
    file = folder / "moontide.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(environ=environ or {}, file=file)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


CASES = {
    "a threshold that is none": (
        'models: {"*": {targets: [{provider: moonshot}], repeat: {action: stop, threshold: 1.5}}}',
        "moontide.yaml:1: models.*.repeat.threshold: must be a number from 0 to 1, not 1.5",
    ),
    "a turn that is asked too often": (
        'models: {"*": {targets: [{provider: moonshot}], ensure_tool_call: {max_attempts: 6}}}',
        "moontide.yaml:1: models.*.ensure_tool_call.max_attempts: must be a whole number from 1 to 5, not 6",
    ),
    "a switch where there are keys": (
        'models: {"*": {targets: [{provider: moonshot}], ensure_tool_call: true}}',
        "moontide.yaml:1: models.*.ensure_tool_call: must hold keys: max_attempts, mode, termination_tool, "
        "instruction, reminder",
    ),
    "a tool that no provider takes": (
        'models: {"*": {targets: [{provider: moonshot}], ensure_tool_call: {termination_tool: "all done"}}}',
        "moontide.yaml:1: models.*.ensure_tool_call.termination_tool: must be a tool's name: letters, digits, - and _",
    ),
    "a length that is none": (
        'models: {"*": {targets: [{provider: moonshot}], repeat: {action: stop, min_length: -1}}}',
        "moontide.yaml:1: models.*.repeat.min_length: must be a whole number of at least 0, not -1",
    ),
    "a finish reason that is no word": (
        'models: {"*": {targets: [{provider: moonshot}], repeat: {action: stop, finish_reason: "a loop!"}}}',
        "moontide.yaml:1: models.*.repeat.finish_reason: must be a word of letters, digits, - and _",
    ),
    "an unknown key, with the nearest known one": (
        "ingress:\n  prot: 1",
        "moontide.yaml:2: ingress.prot: unknown key; did you mean port?",
    ),
    "a number out of range": (
        "ingress: {port: 70000}",
        "moontide.yaml:1: ingress.port: must be a whole number from 0 to 65535, not 70000",
    ),
    "a number without end": (
        "ingress: {queue_timeout_s: 1e999}",
        "moontide.yaml:1: ingress.queue_timeout_s: must be a number of at least 0, not inf",
    ),
    "a word where a number belongs": (
        "ingress: {port: many}",
        "moontide.yaml:1: ingress.port: must be a whole number from 0 to 65535, not 'many'",
    ),
    "a number where text belongs": (
        "bus: {root: 1}",
        "moontide.yaml:1: bus.root: must be text, not 1; put it in quotes",
    ),
    "a boolean in another word": (
        "ingress: {force_stream: yes}",
        "moontide.yaml:1: ingress.force_stream: must be true or false, not 'yes'",
    ),
    "a value that is not among the known ones": (
        "providers: {m: {kind: moonshoot}}",
        "moontide.yaml:1: providers.m.kind: 'moonshoot' is not known; must be anthropic or moonshot or openai "
        "or openrouter or vertex; did you mean moonshot?",
    ),
    "a key without a value": (
        "ingress:\n  port:\n",
        "moontide.yaml:2: ingress.port: has no value; must be a whole number from 0 to 65535",
    ),
    "a key that is missing": (
        "records:\n  - keep_days: 3",
        "moontide.yaml:2: records[0].url: missing; must be text",
    ),
    "a provider with nothing in it": (
        "providers:\n  mine:\n",
        "moontide.yaml:2: providers.mine.kind: missing; must be anthropic or moonshot or openai",
    ),
    "an address that is missing": (
        "providers: {m: {kind: openai}}",
        "moontide.yaml:1: providers.m.base_url: missing; kind openai needs one, such as http://127.0.0.1:8000/v1",
    ),
    "an address that is none": (
        "providers: {m: {kind: openai, base_url: 'localhost:8000'}}",
        "moontide.yaml:1: providers.m.base_url: must be http://host/path or https://host/path, without a query",
    ),
    "a timeout of nothing": (
        "providers: {m: {kind: moonshot, timeouts: {idle_s: 0}}}",
        "moontide.yaml:1: providers.m.timeouts.idle_s: must be a number above 0",
    ),
    "a key twice": (
        "ingress: {port: 1}\nlog: {}\ningress: {port: 2}",
        "moontide.yaml:3: ingress: duplicate key, first on line 1",
    ),
    "a root that is no subject": (
        "bus: {root: 'a b'}",
        "moontide.yaml:1: bus.root: must be letters, digits, - and _, in parts separated by dots",
    ),
    "a bus that is no NATS": (
        "bus: {url: 'nats://a:4222,http://b'}",
        "moontide.yaml:1: bus.url: must be nats://host:port (or tls, ws, wss), several separated by commas",
    ),
    "no sink": ("records: []", "moontide.yaml:1: records: at least one sink is needed: [{url: sqlite:///path}]"),
    "a database that is none": (
        "records: [{url: records.db}]",
        "moontide.yaml:1: records[0].url: must be sqlite:///path (four slashes for an absolute path)",
    ),
    "a sink of two kinds": (
        "records: [{url: 'sqlite:///r.db', secret: env:S}]",
        "moontide.yaml:1: records[0].secret: is for webhooks: a database has no posts to sign",
    ),
    "a database with bodies": (
        "records: [{url: 'sqlite:///r.db', bodies: true}]",
        "moontide.yaml:1: records[0].bodies: is for webhooks: a database always has them",
    ),
    "a file with a password": (
        "records: [{url: 'sqlite:///r.db', password: env:P}]",
        "moontide.yaml:1: records[0].password: is for Postgres: an SQLite file has none",
    ),
    "a webhook that keeps": (
        "records: [{url: 'https://h/x', keep_days: 3}]",
        "moontide.yaml:1: records[0].keep_days: is for databases: a webhook keeps nothing here",
    ),
    "a webhook without a host": (
        "records: [{url: 'https:///x'}]",
        "moontide.yaml:1: records[0].url: must be sqlite:///path",
    ),
    "a Postgres without a database": (
        "records: [{url: 'postgresql://db'}]",
        "moontide.yaml:1: records[0].url: names no database: postgresql://user@host/database",
    ),
    "a password of nobody": (
        "records: [{url: 'postgresql://db/m', password: env:P}]",
        "moontide.yaml:1: records[0].url: has a password and no user: postgresql://user@host/database",
    ),
    "one sink twice": (
        "records: [{url: 'sqlite:///r.db'}, {url: 'sqlite:///r.db'}]",
        "moontide.yaml:1: records[1].url: the same as records[0].url; one sink for a place is enough",
    ),
    "a password of a database": (
        "records: [{url: 'postgresql://u:pw@db/m'}]",
        "moontide.yaml:1: records[0].url: a password must not stand here; set `password: env:NAME` beside it",
    ),
    "a pattern that is none": (
        "recorder: {redact: ['(']}",
        "moontide.yaml:1: recorder.redact[0]: not a regular expression of RE2: missing ): (?:()",
    ),
    "a pattern that RE2 has not": (
        "recorder: {redact: [ok, '(?<=x)y']}",
        "moontide.yaml:1: recorder.redact[1]: not a regular expression of RE2: invalid perl operator: (?<=",
    ),
    "a pattern of nothing": (
        "recorder: {redact: ['x*']}",
        "moontide.yaml:1: recorder.redact[0]: matches everywhere, also where nothing is",
    ),
    "no host": ("ingress: {host: ''}", "moontide.yaml:1: ingress.host: has no value; 127.0.0.1 for this machine"),
    "no provider": ("providers: {}", "moontide.yaml:1: providers: at least one is needed"),
    "no model": ("models: {}", "moontide.yaml:1: models: at least one is needed"),
    "a provider whose name is no token": (
        "providers: {my.own: {kind: moonshot}}",
        "moontide.yaml:1: providers.my.own: a provider's name is letters, digits, - and _",
    ),
    "a port that is none": (
        "providers: {m: {kind: openai, base_url: 'http://h:99999'}}",
        "moontide.yaml:1: providers.m.base_url: must be http://host/path",
    ),
    "a header's name that is none": (
        "providers: {m: {kind: moonshot, headers: {'a b': c}}}",
        "moontide.yaml:1: providers.m.headers.a b: not a header's name",
    ),
    "a header's value with a line end": (
        'providers: {m: {kind: moonshot, headers: {a: "b\\nc"}}}',
        "moontide.yaml:1: providers.m.headers.a: a header's value has no line ends and no control characters",
    ),
    "a glob of nothing": (
        "providers: {m: {kind: moonshot, serves: ['']}}",
        "moontide.yaml:1: providers.m.serves[0]: is empty; * is everything",
    ),
    "a field that is forced and dropped": (
        "models: {'*': {targets: [{provider: moonshot}], force: {seed: 1}, drop: [seed]}}",
        "moontide.yaml:1: models.*.drop: seed is also in force; it can be one of them",
    ),
    "a target that its provider does not serve": (
        "providers: {m: {kind: moonshot, serves: [kimi-*]}}\nmodels: {'*': {targets: [{provider: m, model: gpt-5}]}}",
        "moontide.yaml:2: models.*.targets[0].model: provider m serves only kimi-*",
    ),
    "a key that is no text": ("? [a, b]\n: 1", "moontide.yaml:1: a key must be text"),
    "a target that names no provider": (
        "models:\n  kimi:\n    targets:\n      - {provider: moonshto}",
        "moontide.yaml:4: models.kimi.targets[0].provider: no provider is called moonshto; did you mean moonshot?",
    ),
    "a model without a target": (
        "models: {kimi: {targets: []}}",
        "moontide.yaml:1: models.kimi.targets: at least one is needed: [{provider: name}]",
    ),
    "a glob that is empty": (
        "models: {'': {targets: [{provider: moonshot}]}}",
        "moontide.yaml:1: a model's name or glob is empty; * is everything",
    ),
    "two names that are the same": (
        "models:\n  Kimi: {targets: [{provider: moonshot}]}\n  kimi: {targets: [{provider: moonshot}]}",
        "moontide.yaml:3: models.kimi: means the same as Kimi: capitals make no difference",
    ),
    "an open address without client keys": (
        "ingress: {host: 0.0.0.0}",
        "moontide.yaml:1: ingress.host: 0.0.0.0 can be reached from other machines, so clients must have keys: "
        "set ingress.keys (keys: file:/run/secrets/client-keys.yaml), or host to 127.0.0.1",
    ),
    "a secret that is not there": (
        "providers:\n  m:\n    kind: moonshot\n    api_key: env:NOPE",
        "moontide.yaml:4: providers.m.api_key: env:NOPE: NOPE is not set in the environment: set it, "
        "or refer to something else",
    ),
    "text that is no YAML": ("ingress: {port: 1", "moontide.yaml:1: not valid YAML: expected ',' or '}'"),
    "a file that holds a list": ("- 1", "moontide.yaml: the file must hold settings as `key: value`"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_line_names_place_key_and_remedy_of(case: str, tmp_path: Path) -> None:
    text, expected = CASES[case]

    found = problems(text, folder=tmp_path)

    assert any(line.replace("models.: ", "").startswith(expected) for line in found), found


def test_all_problems_are_reported_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = "ingress: {port: x, hots: y}\nlog: {level: loud}\nproviders: {m: {kind: openai}}\nnonsense: 1\n"
    found = problems(text, folder=tmp_path)

    assert [line.split(":")[1] for line in found] == ["1", "1", "2", "3", "4"]


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read: No such file or directory"):
        load(environ={}, file=tmp_path / "nowhere.yaml")


def test_everything_that_has_not_come_yet_is_refused_with_a_line_that_says_so(tmp_path: Path) -> None:
    refused = [line for line in problems(DESIGN, folder=tmp_path) if "not available in this version (0.1.0)" in line]
    keys = {line.split(": ")[1] for line in refused}

    assert keys == set()


def test_a_whole_key_that_has_not_come_yet_has_variables_that_are_refused() -> None:
    table = (NotYet("models.*.magic"), NotYet("records", lambda value: value == []))

    assert variables(table) == ("MOONTIDE_MODELS_*_MAGIC",)


def test_the_table_of_what_is_not_there_holds_each_path_once() -> None:
    paths = [entry.path for entry in NOT_YET]

    assert len(paths) == len(set(paths))


LITERAL = "sk-live-0123456789abcdef"


@pytest.mark.parametrize(
    "text",
    [
        f"providers: {{m: {{kind: moonshot, api_key: {LITERAL}}}}}",
        f"providers: {{m: {{kind: moonshot, headers: {{Authorization: Bearer {LITERAL}}}}}}}",
        f"providers: {{m: {{kind: moonshot, headers: {{X-Other: {LITERAL}}}}}}}",
        f"providers: {{m: {{kind: {LITERAL}}}}}",
        f"providers: {{m: {{kind: moonshot, base_url: {LITERAL}}}}}",
        f"models: {{'*': {{targets: [{{provider: moonshot}}], force: {{user: [{LITERAL}]}}}}}}",
        f"bus: {{url: 'nats://user:{LITERAL}@host:4222'}}",
        f"ingress: {{port: {LITERAL}}}",
    ],
)
def test_a_literal_secret_is_refused_and_never_shown(text: str, tmp_path: Path) -> None:
    found = problems(text, folder=tmp_path)

    assert "secret must not stand here" in found[0] or "password must not stand here" in found[0]
    assert LITERAL not in "\n".join(found)


def test_a_literal_key_is_answered_with_the_line_to_write(tmp_path: Path) -> None:
    assert problems(f"providers: {{my-own: {{kind: moonshot, api_key: {LITERAL}}}}}", folder=tmp_path) == [
        "moontide.yaml:1: providers.my-own.api_key: a secret must not stand here; put it into the environment "
        "and write `api_key: env:MY_OWN_API_KEY`, or into a file and write "
        "`api_key: file:/run/secrets/my_own_api_key`"
    ]


def test_a_secret_that_looks_like_a_number_is_not_shown_either(tmp_path: Path) -> None:
    found = problems("providers: {m: {kind: moonshot, api_key: 1234567890123}}", folder=tmp_path)

    assert "1234567890123" not in "\n".join(found)


def test_a_bad_client_keys_file_is_reported_by_its_own_lines(tmp_path: Path) -> None:
    (tmp_path / "keys.yaml").write_text("max: ck-0123456789\nann: short\n")

    assert problems("ingress: {keys: file:keys.yaml}", folder=tmp_path) == [
        "keys.yaml:2: ann: a key has at least 8 ASCII characters and no blanks"
    ]


def test_aliases_that_make_more_of_a_file_than_it_holds_are_refused(tmp_path: Path) -> None:
    text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))

    assert "nested too deeply, or too much of it" in problems(text, folder=tmp_path)[0]
    assert "nested too deeply" in problems("a: &a [*a]", folder=tmp_path)[0]


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False)
KEYS = st.sampled_from(["bus", "records", "ingress", "providers", "models", "m", "kind", "url", "targets", "port", "x"])
TREES = st.recursive(SCALARS, lambda tree: st.lists(tree, max_size=3) | st.dictionaries(KEYS, tree, max_size=4))


@given(values=st.dictionaries(KEYS, TREES, max_size=5))
def test_whatever_is_said_there_are_settings_or_problems_and_nothing_else(values: dict[str, object]) -> None:
    with suppress(ConfigError):
        assert load(environ={}, overrides=values).settings.models


@given(text=st.text() | st.text("{}[]:,-&*a<!|>#'\"%@ \n\t?~1"))
def test_whatever_a_file_holds_there_are_values_or_problems_and_nothing_else(text: str) -> None:
    layer, found = read_document(text, "moontide.yaml")

    assert isinstance(layer.values, dict)
    assert all(problem.where.startswith("moontide.yaml") and problem.what for problem in found)
