"""Full-text search over what was said, the same on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, insert, text, update

from shared.records.database import open_writer
from shared.records.search import APART, SAID, apart, found_by, terms, together

SAID_IN = {
    "weather": 'get_weather {"city": "Beijing", "unit": "celsius"}',
    "chinese": "请问北京的天气怎么样？今天北京天气晴朗，气温25度。",
    "mixed": "用Python写一个人工智能程序 in services/recorder/store.py, version 12.5",
    "japanese": "東京タワーはどこですか",
    "korean": "한국어로 대답하세요",
    "quotes": "don't OR NEAR \"that\" AND 'this' NOT (x) : * ^",
}


@pytest.fixture
def engine(records_url: str) -> Iterator[Engine]:
    engine = open_writer(records_url)
    with engine.begin() as connection:
        rows = [{"exchange_id": id, "text": apart(said)} for id, said in SAID_IN.items()]
        connection.execute(insert(SAID), rows)
    yield engine
    engine.dispose()


def found(connection: Connection, question: str) -> set[str]:
    query = found_by(question, connection.dialect.name)
    assert query is not None
    return set(connection.scalars(query))


@pytest.mark.parametrize(
    ("question", "ids"),
    [
        ("北京", {"chinese"}),
        ("天气", {"chinese"}),
        ("北京天气晴朗", {"chinese"}),
        ("天", {"chinese"}),
        ("京北", set()),
        ("人工智能", {"mixed"}),
        ("Python写", {"mixed"}),
        ("python", {"mixed"}),
        ("タワー", {"japanese"}),
        ("東京", {"japanese"}),
        ("한국*", {"korean"}),
        ("beijing", {"weather"}),
        ("BEIJ*", {"weather"}),
        ("beij", set()),
        ("get_weather", {"weather"}),
        ("weather", {"weather"}),
        ('"weather get"', set()),
        ('"get weather"', {"weather"}),
        ("celsius get", {"weather"}),
        ("celsius nothing", set()),
        ("store.py", {"mixed"}),
        ("recorder", {"mixed"}),
        ("12.5", {"mixed"}),
        ("NEAR OR", {"quotes"}),
        ("that", {"quotes"}),
    ],
)
def test_what_was_said_is_found_by_its_words(engine: Engine, question: str, ids: set[str]) -> None:
    with engine.connect() as connection:
        assert found(connection, question) == ids


@pytest.mark.parametrize("question", ["", "   ", "\\", '"', "***", ":*", "(!)", "。，"])
def test_a_question_without_a_word_asks_nothing(question: str) -> None:
    assert found_by(question, "sqlite") is None


@pytest.mark.parametrize("question", ["it's", 'a"b', "x:y & !z | <->", "a' OR 1=1 --", "NOT", "x\x00y", "%s :p"])
def test_no_sign_in_a_question_is_an_operator(engine: Engine, question: str) -> None:
    with engine.connect() as connection:
        assert found(connection, question) <= {"quotes"}


def test_the_index_follows_what_is_deleted_and_changed(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(SAID.delete().where(SAID.c.exchange_id == "weather"))
        connection.execute(update(SAID).where(SAID.c.exchange_id == "korean").values(text="beijing duck"))
        assert (found(connection, "beijing"), found(connection, "celsius")) == ({"korean"}, set())


def test_the_index_agrees_with_its_table(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO said_index(said_index, rank) VALUES ('integrity-check', 1)"))
    with engine.connect() as connection:
        assert len(found(connection, "天气")) == 1


@given(st.text())
def test_kept_text_is_the_text_itself_but_for_what_stands_between_characters(said: str) -> None:
    assert together(apart(said)) == together(said)


@given(st.text())
def test_keeping_text_twice_changes_nothing(said: str) -> None:
    assert apart(apart(said)) == apart(said)


@given(st.text())
def test_any_question_is_words_only(question: str) -> None:
    assert all(word.isalnum() or not word.isascii() for term in terms(question) for word in term.text.split())


def test_only_scripts_without_spaces_are_taken_apart() -> None:
    assert apart("naïve café 한국어 text") == "naïve café 한국어 text"
    assert apart("用Py写") == f"用{APART}Py{APART}写"
