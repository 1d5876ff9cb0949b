"""Arguments are looked at where they are given, and refused by their own names."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from multiturn import (
    ChatSession,
    EmbeddedBackend,
    FallbackBackend,
    GenerativeModel,
    InvalidContent,
    McpTools,
    MemoryStore,
    OpenAIBackend,
    Retry,
    SQLiteStore,
    UnknownName,
    caching,
    configure,
    delete_file,
    embed_content,
    load_chat,
    protos,
    types,
)
from multiturn.testing import ScriptedBackend, function_calls
from ways import Way, conversation

NAN = float("nan")
ENDLESS = float("inf")


def _chat(**options: Any) -> ChatSession:
    return GenerativeModel(backend=ScriptedBackend("Hi")).start_chat(**options)


def _sqlite(**options: Any) -> SQLiteStore:
    return SQLiteStore("never-opened.db", **options)


def _mcp(**options: Any) -> McpTools:
    return McpTools(["server"], **options)


NO_SECONDS = (-1, NAN, "3", True)
NO_WHOLE = (0, -1, 1.5, "3", True, NAN)
NUMBERS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "attempts": (Retry, (*NO_WHOLE, None)),
    "first_pause_seconds": (Retry, (*NO_SECONDS, None, ENDLESS)),
    "longest_pause_seconds": (Retry, (*NO_SECONDS, None, ENDLESS)),
    "longest_wait_seconds": (Retry, (*NO_SECONDS, None)),
    "total_seconds": (Retry, (*NO_SECONDS, 0)),
    "context_tokens": (EmbeddedBackend, (*NO_WHOLE, 10)),
    "slots": (EmbeddedBackend, (*NO_WHOLE, None)),
    "threads": (EmbeddedBackend, NO_WHOLE),
    "lease_seconds": (MemoryStore, (*NO_SECONDS, 0, None, ENDLESS)),
    "busy_timeout_seconds": (_sqlite, (*NO_SECONDS, None, ENDLESS, 1e12)),
    "timeout_seconds": (_mcp, (*NO_SECONDS, 0, None, ENDLESS)),
    "max_rounds": (_chat, (*NO_WHOLE, None)),
    "max_concurrent_calls": (_chat, (*NO_WHOLE, None)),
    "max_result_bytes": (_chat, (*NO_WHOLE, None)),
    "tool_timeout_seconds": (_chat, (*NO_SECONDS, 0, ENDLESS)),
}
WRONG = [
    pytest.param(name, make, value, id=f"{name}-{value!r}")
    for name, (make, values) in NUMBERS.items()
    for value in values
]


@pytest.mark.parametrize(("name", "make", "value"), WRONG)
def test_a_number_that_cannot_work_is_refused_where_it_is_given(
    name: str, make: Callable[..., Any], value: Any
) -> None:
    with pytest.raises(InvalidContent, match=rf"^{name} is {value!r}; expected ") as caught:
        make(**{name: value})
    assert (name, repr(value)) == (caught.value.path, repr(caught.value.value))


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (Retry, {"attempts": 1, "first_pause_seconds": 0, "longest_pause_seconds": 0}),
        (Retry, {"longest_wait_seconds": ENDLESS, "total_seconds": ENDLESS}),
        (_sqlite, {"busy_timeout_seconds": 0, "lease_seconds": 0.1}),
        (_chat, {"max_rounds": 1, "tool_timeout_seconds": 0.001}),
        (EmbeddedBackend, {"context_tokens": 16, "slots": 1, "threads": 1}),
    ],
)
def test_the_least_that_works_is_taken(make: Callable[..., Any], options: dict[str, Any]) -> None:
    make(**options)


@pytest.mark.parametrize("options", [{"max_connections": 0}, {"reconnect_seconds": -1}])
def test_numbers_of_a_pool_are_looked_at(options: dict[str, Any]) -> None:
    pytest.importorskip("psycopg", reason="needs the extra 'postgres'")
    from multiturn import PostgresStore

    ((name, value),) = options.items()
    with pytest.raises(InvalidContent, match=f"^{name} is {value}; expected "):
        PostgresStore("postgresql://h/d", **options)


@pytest.mark.parametrize("conninfo", ["secret", 3, None])
def test_what_is_no_address_of_a_database_is_refused_and_not_shown(conninfo: Any) -> None:
    pytest.importorskip("psycopg", reason="needs the extra 'postgres'")
    from multiturn import PostgresStore

    with pytest.raises(InvalidContent, match=r"^conninfo is .*postgresql://") as caught:
        PostgresStore(conninfo)
    assert "secret" not in str(caught.value)


def test_a_retry_comes_back_from_pickle_as_it_was() -> None:
    retry = Retry(attempts=2, total_seconds=3)
    assert (retry, "Retry(attempts=2,") == (pickle.loads(pickle.dumps(retry)), repr(retry)[:17])


@pytest.mark.parametrize("path", [3, None, b"x", ""])
def test_what_is_no_path_of_a_store_is_refused(path: Any) -> None:
    with pytest.raises(InvalidContent, match=r"^path is .*expected a file"):
        SQLiteStore(path)


def test_a_template_is_a_text() -> None:
    with pytest.raises(InvalidContent, match=r"^chat_template is .*; expected Jinja"):
        EmbeddedBackend(chat_template=Path("x"))  # type: ignore[arg-type]


# -- arguments by name -----------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, -1, True, "1", 1.0])
def test_what_is_no_number_of_turns_is_refused(n: Any) -> None:
    with pytest.raises(InvalidContent, match=rf"^n is {n!r}; expected a whole number"):
        _chat().rewind(n)


@pytest.mark.parametrize("begin", [_chat, lambda **o: ChatSession(_chat().model, **o)])
def test_an_argument_that_a_chat_has_not_is_told_all_that_it_has(begin: Any) -> None:
    with pytest.raises(TypeError, match=r"^there is no argument 'histroy'; ") as caught:
        begin(histroy=[])
    for words in ("did you mean 'history'?", "known: history, enable_", "tool_mode", "injected"):
        assert words in str(caught.value)


async def test_an_argument_that_a_message_has_not_is_told_all_that_it_has(way: Way) -> None:
    chat, _ = conversation("One.", "Never.")
    await way.send(chat, "Hi")
    wrong: dict[str, Any] = {"tool_confg": {}}

    async def edit() -> None:
        chat.edit("Hi", **wrong) if way.name == "sync" else await chat.edit_async("Hi", **wrong)

    async def retry() -> None:
        chat.retry(**wrong) if way.name == "sync" else await chat.retry_async(**wrong)

    for ask in (edit, retry):
        with pytest.raises(
            TypeError, match=r"did you mean 'tool_config'\? known: generation_config"
        ):
            await ask()
    assert 2 == len(chat.history)


# -- who is asked, and how often -------------------------------------------------------------


@pytest.mark.parametrize("retry", [3, "often", True])
def test_what_is_no_rule_of_retrying_is_refused(retry: Any) -> None:
    with pytest.raises(InvalidContent, match=f"^retry is {retry!r}; expected a Retry"):
        GenerativeModel(retry=retry)


def test_a_model_without_retries_asks_once() -> None:
    from multiturn import ConnectionFailed

    backend = ScriptedBackend(ConnectionFailed("down"), "Never.")
    with pytest.raises(ConnectionFailed):
        GenerativeModel(backend=backend, retry=False).generate_content("Hi")
    assert 1 == len(backend.requests)


def test_an_embedded_backend_without_a_name_has_the_default_model() -> None:
    assert "smollm2" == GenerativeModel(backend=EmbeddedBackend(threads=1)).model_name


@pytest.mark.parametrize("backend", [3, "gemini", EmbeddedBackend])
def test_what_cannot_be_asked_is_no_backend(backend: Any) -> None:
    with pytest.raises(InvalidContent, match=r"^backend is .*EmbeddedBackend\(\), or None"):
        GenerativeModel(backend=backend)


@pytest.mark.parametrize("model", ["gemini-pro", 3, None])
def test_what_is_no_model_is_refused_where_it_is_given(model: Any) -> None:
    chat = _chat()
    for give in (lambda: ChatSession(model), lambda: setattr(chat, "model", model)):
        with pytest.raises(InvalidContent, match=r"^chat\.model is .*genai\.GenerativeModel\("):
            give()
    assert "Hi" == chat.send_message("Hello.").text


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: GenerativeModel(b"gemini-pro"), "model_name is b'gemini-pro'; expected a name"),
        (lambda: FallbackBackend(3), "models is 3; expected a list"),
        (lambda: FallbackBackend("smollm2"), "models is 'smollm2'; expected a list"),
        (lambda: FallbackBackend(["smollm2", 3]), "models[1] is 3; expected a model's name, or"),
        (lambda: FallbackBackend([("x", "y")]), "models[0] is ('x', 'y'); expected a model's"),
        (lambda: OpenAIBackend("x"), "base_url is 'x'; expected an http:// or https:// URL"),
        (lambda: OpenAIBackend("http://h:99999"), "base_url is 'http://h:99999'; expected"),
        (lambda: OpenAIBackend("http://h", headers=3), "headers is 3; expected pairs"),
        (lambda: OpenAIBackend("http://h", headers={"a": 3}), "headers is 'a'; expected"),
        (lambda: OpenAIBackend("http://h", more=3), "more is 3; expected members"),
        (lambda: OpenAIBackend("http://h", unsendable="x"), "unsendable is 'x'; expected 'raise'"),
        (lambda: delete_file(3), "name is 3; expected a file's name"),
        (lambda: caching.CachedContent.get(3), "name is 3; expected a name as 'cached"),
        (lambda: caching.CachedContent.create(3), "model is 3; expected a model's name"),
        (lambda: _chat(history=_chat()), "$.history is ChatSession( model=genai.GenerativeModel("),
        (lambda: embed_content(3, "Hi"), "model is 3; expected a model's name"),
        (
            lambda: embed_content("models/x", "Hi", output_dimensionality=1.5),
            "output_dimensionality is 1.5; expected a whole number, at least 0",
        ),
        (lambda: types.Tool(function_declarations=3), "function_declarations is 3; expected a"),
        (lambda: MemoryStore().sessions(prefix=3), "prefix is 3; expected a string"),
        (lambda: MemoryStore().search("x", limit=0), "limit is 0; expected a whole number"),
        (lambda: MemoryStore().prune(older_than_seconds=-1), "older_than_seconds is -1; expected"),
        (lambda: MemoryStore().prune(before=1e12), "before is 1000000000000.0; expected seconds"),
        (lambda: MemoryStore().prune(), "before and older_than_seconds is (None, None); expected"),
    ],
)
def test_what_is_wrong_is_told_by_the_name_that_was_written(
    make: Callable[[], object], said: str
) -> None:
    with pytest.raises(InvalidContent, match="^" + re.escape(said)):
        make()


@pytest.mark.parametrize("options", [{"timeout": -1}, {"timeout": NAN}, {"retry": 3}])
def test_request_options_are_looked_at_where_they_are_given(options: dict[str, Any]) -> None:
    ((name, value),) = options.items()
    said = rf"request_options\.{name} is {value!r}; expected "
    with pytest.raises(InvalidContent, match=said):
        types.RequestOptions(**options)
    with pytest.raises(InvalidContent, match=said):
        _chat(request_options=options)
    with pytest.raises(InvalidContent, match=said):
        GenerativeModel(request_options=options)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: McpTools([3]), "command is [3]; expected a list"),
        (lambda: McpTools(url="nonsense"), "url is 'nonsense'; expected an http"),
        (lambda: McpTools(url=3), "url is 3; expected an http"),
        (lambda: ScriptedBackend("Hi", 3), "lines[1] is 3; expected a reply"),
    ],
)
def test_what_is_no_server_or_no_script_is_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(InvalidContent, match="^" + re.escape(said)):
        make()


def test_a_member_that_a_message_has_not_is_told_without_a_place_that_nobody_wrote() -> None:
    with pytest.raises(UnknownName, match=r"^no member of Content is named 'prts'; did you mean"):
        protos.Content(prts=[])


UNTAKEN: dict[str, Callable[[Any], Any]] = {
    "cached_content": lambda _: GenerativeModel.from_cached_content(3),  # type: ignore[arg-type]
    "lost": lambda chat: load_chat(chat.to_json(), chat.model, lost=3),  # type: ignore[arg-type]
    "path": lambda chat: chat.export("openai", 3),
    "calls[0]": lambda _: function_calls("f"),  # type: ignore[arg-type]
    "calls[1]": lambda _: function_calls(("f", {}), ("g", 3)),  # type: ignore[arg-type]
    "key": lambda chat: chat.history.sort(),
    "api_kye": lambda _: configure(api_kye="a-key"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", UNTAKEN)
def test_what_an_argument_cannot_be_is_refused_by_its_name(name: str) -> None:
    chat = _chat(history=["Hi", "Hello."])
    with pytest.raises(InvalidContent) as raised:
        UNTAKEN[name](chat)
    assert name == raised.value.path
    assert "a-key" not in str(raised.value)


def test_a_misspelt_argument_of_configure_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(TypeError, match="did you mean 'api_key'"):
        configure(api_kye="a-key")  # type: ignore[arg-type]
