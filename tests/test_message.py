"""Messages: typed views that keep what they do not know."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn import protos
from multiturn.errors import FrozenContent, InvalidContent, UnknownName
from multiturn.messages import candidate, content, settings
from multiturn.messages.message import Message

ALL: list[type[Message]] = sorted(
    {
        value
        for module in (candidate, content, settings)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Message) and value is not Message
    },
    key=lambda cls: (cls.__name__, cls.__module__),
)
every_message = pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)

WIRE: dict[str, Any] = {
    "parts": [
        {"text": "a", "thought": True, "thoughtSignature": "c2ln"},
        {"inlineData": {"mimeType": "image/png", "data": "_-8", "size": 3}},
        {"functionCall": {"name": "f", "args": {"n": 3, "x": [1.5, None, {"y": "z"}]}}},
        {"codeExecutionResult": {"outcome": "OUTCOME_NEXT_YEAR", "output": "1"}},
        {"hologram": {"depth": 3}},
    ],
    "role": "model",
    "mood": ["calm"],
}


def wire_content() -> protos.Content:
    return protos.Content.view(copy.deepcopy(WIRE))


# -- construction -------------------------------------------------------------------------


def test_a_message_is_made_from_keywords_a_dict_or_another() -> None:
    by_keyword = protos.Part(text="a")
    assert by_keyword == protos.Part({"text": "a"}) == protos.Part(by_keyword)
    assert protos.Part(text="b") == protos.Part({"text": "a"}, text="b")


def test_members_may_have_their_python_or_their_wire_name() -> None:
    assert protos.Blob(mime_type="a/b") == protos.Blob({"mimeType": "a/b"})
    assert {"mimeType": "a/b"} == protos.Blob(mime_type="a/b").json_object
    assert settings.Schema(type="STRING") == settings.Schema(type_="STRING")


def test_none_means_not_given() -> None:
    part = protos.Part(text="a", inline_data=None, thought=None)
    assert {"text": "a"} == part.json_object


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: protos.Content(parts=[{"text": 3}]), "$.parts[0].text"),
        (lambda: protos.Content({"parts": [{"text": "a"}, {"text": b"b"}]}), "$.parts[1].text"),
        (lambda: protos.Content(parts=["a"]), "$.parts[0]"),
        (lambda: protos.Content(parts="a"), "$.parts"),
        (lambda: protos.Content(parts=3), "$.parts"),
        (lambda: protos.Content(role=3), "$.role"),
        (lambda: protos.Part(inline_data={"data": 3}), "$.inline_data.data"),
        (lambda: protos.Part(inline_data={"data": "%%%"}), "$.inline_data.data"),
        (lambda: protos.Part(inline_data="x"), "$.inline_data"),
        (lambda: protos.Part(thought="yes"), "$.thought"),
        (lambda: protos.Part(function_call={"args": 3}), "$.function_call.args"),
        (
            lambda: protos.Part(function_call={"args": {"a": [1, float("nan")]}}),
            "$.function_call.args.a[1]",
        ),
        (lambda: protos.Part(function_call={"args": {"a": {1, object}}}), "$.function_call.args.a"),
        (lambda: protos.GenerationConfig(temperature=float("inf")), "$.temperature"),
        (lambda: protos.GenerationConfig(temperature=True), "$.temperature"),
        (lambda: protos.GenerationConfig(seed=1.5), "$.seed"),
        (lambda: protos.GenerationConfig(seed=True), "$.seed"),
        (lambda: protos.GenerationConfig(seed="--3"), "$.seed"),
        (lambda: protos.Candidate(finish_reason=[]), "$.finish_reason"),
        (lambda: protos.Schema(properties=3), "$.properties"),
        (lambda: protos.Schema(properties={"a": {"type": []}}), "$.properties.a.type"),
        (lambda: protos.Content([("role", "user")]), "$"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_its_path(
    make: Callable[[], object], path: str
) -> None:
    with pytest.raises(InvalidContent) as caught:
        make()
    assert caught.value.path.startswith(path)


@pytest.mark.parametrize(
    ("make", "near"),
    [
        (lambda: protos.Part(txt="a"), "text"),
        (lambda: protos.Part({"inline_dat": {}}), "inline_data"),
        (lambda: protos.GenerationConfig(temprature=1), "temperature"),
        (lambda: protos.Content(parts=[{"text": "a"}], rol="user"), "role"),
        (lambda: protos.Part(function_call={"nam": "f"}), "name"),
    ],
)
def test_an_unknown_member_is_refused_and_the_nearest_is_named(
    make: Callable[[], object], near: str
) -> None:
    with pytest.raises(UnknownName, match=f"did you mean '{near}'"):
        make()


def test_unknown_members_may_be_dropped() -> None:
    part = protos.Part({"text": "a", "mood": 1}, ignore_unknown_fields=True)
    assert {"text": "a"} == part.json_object


def test_cyclic_and_deep_values_are_refused() -> None:
    cycle: dict[str, Any] = {}
    cycle["a"] = cycle
    with pytest.raises(InvalidContent, match="without cycles"):
        protos.FunctionCall(args=cycle)
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    with pytest.raises(InvalidContent, match="at most 200 levels"):
        protos.FunctionCall(args={"a": deep})


def test_nothing_given_is_shared_or_changed() -> None:
    given = {"parts": [{"function_call": {"name": "f", "args": {"a": [1]}}}]}
    before = copy.deepcopy(given)
    made = protos.Content(given)
    made.parts[0].function_call.args["a"].append(2)
    assert before == given
    other = protos.Content(made)
    other.parts[0].function_call.args["a"].append(3)
    assert [1, 2] == made.parts[0].function_call.args["a"]


# -- alternatives and presence ------------------------------------------------------------


def test_setting_one_alternative_unsets_the_others() -> None:
    part = protos.Part(text="a")
    assert "text" == part.WhichOneof("data")
    part.inline_data = {"mime_type": "a/b", "data": b"c"}  # type: ignore[assignment]
    assert "inline_data" == part.WhichOneof("data")
    assert "text" not in part
    assert "" == part.text
    part.text = ""
    assert "text" == part.WhichOneof("data")
    del part.text
    assert part.WhichOneof("data") is None


def test_of_two_given_alternatives_the_later_one_holds() -> None:
    part = protos.Part({"text": "a", "function_call": {"name": "f"}})
    assert "function_call" == part.WhichOneof("data")


@pytest.mark.parametrize(
    ("message", "name", "expected"),
    [
        (protos.Part(text=""), "text", True),
        (protos.Part(), "text", False),
        (protos.Blob(mime_type=""), "mime_type", False),
        (protos.Content(parts=[]), "parts", False),
        (protos.Content(parts=[{}]), "parts", True),
        (protos.GenerationConfig(temperature=0), "temperature", True),
        (protos.GenerationConfig(), "temperature", False),
        (protos.Candidate(finish_reason=0), "finish_reason", False),
        (protos.Candidate(token_count=0), "token_count", False),
    ],
)
def test_presence(message: Message, name: str, expected: bool) -> None:
    assert expected is (name in message)
    assert expected is message.HasField(name)


def test_reading_an_unset_member_gives_its_default_and_changes_nothing() -> None:
    part = protos.Part()
    assert "" == part.text
    assert b"" == part.inline_data.data
    assert {} == part.function_call.args
    assert False is part.thought
    assert 0 == protos.Candidate().finish_reason
    assert {} == part.json_object
    assert not part
    with pytest.raises(FrozenContent):
        part.inline_data.data = b"lost"


def test_appending_to_an_unset_list_reaches_the_message() -> None:
    made = protos.Content()
    made.parts.append({"text": "a"})  # type: ignore[arg-type]
    assert [{"text": "a"}] == made.json_object["parts"]


def test_assigning_none_unsets() -> None:
    made = protos.Content(role="user")
    made.role = None  # type: ignore[assignment]
    assert {} == made.json_object


def test_a_misspelt_attribute_is_an_error() -> None:
    with pytest.raises(AttributeError):
        protos.Part().txt = "a"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        _ = protos.Part().txt  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        del protos.Part().txt  # type: ignore[attr-defined]


# -- lists --------------------------------------------------------------------------------


def test_a_list_member_is_a_list() -> None:
    made = protos.Content(parts=[{"text": "a"}, {"text": "b"}])
    parts = made.parts
    parts.insert(1, protos.Part(text="x"))
    parts += [{"text": "c"}]  # type: ignore[list-item]
    assert ["a", "x", "b", "c"] == [part.text for part in parts]
    del parts[0]
    parts[0] = {"text": "y"}  # type: ignore[call-overload]
    parts[1:] = [{"text": "z"}]
    parts.reverse()
    assert ["z", "y"] == [part.text for part in made.parts]
    assert parts[-1].text == parts[0:2][1].text == "y"
    assert parts == [protos.Part(text="z"), protos.Part(text="y")]
    assert parts == (protos.Part(text="z"), protos.Part(text="y"))
    assert parts != [protos.Part(text="z")]
    assert parts != 3
    assert repr(list(parts)) == repr(parts)
    assert isinstance(copy.copy(parts), list)
    parts[0].text = "live"
    assert "live" == made.parts[0].text
    with pytest.raises(InvalidContent) as caught:
        parts[1] = {"text": 3}  # type: ignore[call-overload]
    assert caught.value.path.startswith("$.parts[1]")
    with pytest.raises(IndexError):
        parts[9]


# -- round trips --------------------------------------------------------------------------

ROUND_TRIPS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda m: pickle.loads(pickle.dumps(m)),
    "dict": lambda m: type(m).from_dict(type(m).to_dict(m)),
    "plain dict": lambda m: type(m).from_dict(
        type(m).to_dict(m, use_integers_for_enums=False, including_default_value_fields=False)
    ),
    "wire dict": lambda m: type(m).from_dict(type(m).to_dict(m, preserving_proto_field_name=False)),
    "json": lambda m: type(m).from_json(type(m).to_json(m)),
    "json bytes": lambda m: type(m).from_json(type(m).to_json(m, indent=None).encode()),
    "message": lambda m: type(m)(m),
    "frozen": lambda m: m.frozen(),
}


@pytest.mark.parametrize("way", [*ROUND_TRIPS])
def test_unknown_members_and_values_survive(way: str) -> None:
    made = wire_content()
    other = ROUND_TRIPS[way](made)
    assert made == other
    assert WIRE == made.json_object
    plain = other.json_object
    assert {"depth": 3} == plain["parts"][4]["hologram"]
    assert ["calm"] == plain["mood"]
    assert 3 == plain["parts"][1]["inlineData"]["size"]
    assert "OUTCOME_NEXT_YEAR" == other.parts[3].code_execution_result.outcome.name
    assert 3 == other.parts[2].function_call.args["n"]
    assert b"\xff\xef" == other.parts[1].inline_data.data


@pytest.mark.parametrize("way", ["copy", "deepcopy", "pickle", "message"])
def test_a_copy_can_be_changed_and_shares_nothing(way: str) -> None:
    made = wire_content().frozen()
    other = ROUND_TRIPS[way](made)
    other.parts[2].function_call.args["x"].append("more")
    other.parts[0].text = "b"
    assert WIRE == made.json_object


@every_message
def test_every_message_shows_all_its_defaults(cls: type[Message]) -> None:
    """to_dict of an empty message names its members, and makes the same message again."""
    for integers in (True, False):
        plain = cls.to_dict(cls(), use_integers_for_enums=integers)
        json.dumps(plain)
        assert set(plain) <= set(cls.fields)
        assert cls() == cls.from_dict(plain)
    assert {} == cls.to_dict(cls(), including_default_value_fields=False)
    assert f"{cls.__name__}()" == repr(cls())


@every_message
def test_every_member_of_every_message_can_be_read_when_it_is_unset(cls: type[Message]) -> None:
    message = cls.view({}, frozen=True)
    for name in cls.fields:
        getattr(message, name)
        assert name not in message
    assert {*cls.fields} <= {*dir(message)}
    assert {} == message.json_object


@every_message
@given(value=st.sampled_from([None, 3, -1.5, "x", True, [], {}, [None], [3], {"a": 1}]))
def test_every_member_bears_what_no_server_should_send(cls: type[Message], value: Any) -> None:
    for field in cls.fields.values():
        message = cls.view({field.wire: value})
        getattr(message, field.name)
        assert repr(message)
        assert message == cls.view({field.wire: copy.deepcopy(value)})
        cls.to_dict(message)
        assert pickle.loads(pickle.dumps(message)).json_object == {field.wire: value}


@every_message
def test_every_message_is_documented(cls: type[Message]) -> None:
    assert (cls.__doc__ or "").strip()
    assert all(isinstance(name, str) and name.isidentifier() for name in cls.fields)
    assert not any(isinstance(f, type) for f in cls.fields.values())


# -- equality -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"inlineData": {"data": "_-8"}}, {"inlineData": {"data": "/+8="}}),
        ({"text": "a", "thoughtSignature": "YQ=="}, {"text": "a", "thoughtSignature": "YQ"}),
        (
            {"codeExecutionResult": {"outcome": 1}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK"}},
        ),
        ({"codeExecutionResult": {}}, {"codeExecutionResult": {"outcome": 0, "output": ""}}),
        ({"functionCall": {"name": "f"}}, {"functionCall": {"name": "f", "id": ""}}),
    ],
)
def test_spellings_of_the_same_message_are_equal(a: Any, b: Any) -> None:
    assert protos.Part.view(a) == protos.Part.view(b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"text": "a"}, {"text": "b"}),
        ({"text": ""}, {}),
        ({"text": "a"}, {"text": "a", "thought": True}),
        ({"text": "a", "thought": False}, {"text": "a"}),
        ({"text": "a", "mood": 1}, {"text": "a"}),
        ({"functionCall": {"args": {}}}, {"functionCall": {}}),
    ],
)
def test_different_messages_are_not_equal(a: Any, b: Any) -> None:
    assert protos.Part.view(a) != protos.Part.view(b)


def test_messages_of_two_types_are_not_equal_and_none_can_be_hashed() -> None:
    assert protos.Content() != protos.Part()
    assert protos.Part(text="a") != {"text": "a"}
    with pytest.raises(TypeError, match="unhashable"):
        hash(protos.Part())
