"""What is sent to servers of the OpenAI protocol."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from multiturn import GenerativeModel
from multiturn.backends.openai import request as openai
from multiturn.backends.openai.request import Style
from multiturn.config import merged_config
from multiturn.errors import InvalidContent, UnknownName, UsageError
from multiturn.history import Turn, empty_path
from multiturn.messages.content import Content
from multiturn.request import Request
from multiturn.tools.accepted import tool_config_object, tool_objects

PNG = base64.b64encode(b"\x89PNG").decode()


def body(request: Request, style: Style) -> bytes:
    return b"".join(openai.body(request, style))


def sent(*contents: dict[str, Any], style: Style | None = None, **members: Any) -> Any:
    frozen = [Content.view(content, frozen=True) for content in contents or (user("Hi"),)]
    if "config" in members:
        members["generation_config"] = merged_config(members.pop("config"))
    request = Request(model="m", contents=empty_path().plus(*frozen), **members)
    return json.loads(body(request, style or Style()))


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": p} if isinstance(p, str) else p for p in parts]}


def model(*parts: Any) -> dict[str, Any]:
    return {**user(*parts), "role": "model"}


def weather(city: str) -> str:
    """Tell the weather."""
    return city


def test_a_message_is_one_string() -> None:
    assert {"model": "m", "messages": [{"role": "user", "content": "Hi"}]} == sent()


def test_the_system_instruction_comes_first() -> None:
    told = Content.view({"parts": [{"text": "Be "}, {"text": "brief."}]})
    assert {"role": "system", "content": "Be brief."} == sent(system_instruction=told)["messages"][
        0
    ]


def test_a_turn_with_calls_becomes_the_messages_of_the_protocol() -> None:
    said = sent(
        user("Where is it warm?"),
        model(
            {"text": "I look.", "thought": True}, {"functionCall": {"name": "f", "args": {"é": 1}}}
        ),
        user({"functionResponse": {"name": "f", "response": {"result": "Rome"}}}),
        model("In Rome."),
        user("Thanks"),
    )["messages"]
    assert [
        {"role": "user", "content": "Where is it warm?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call00000",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"é":1}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call00000", "content": '{"result":"Rome"}'},
        {"role": "assistant", "content": "In Rome."},
        {"role": "user", "content": "Thanks"},
    ] == said


def test_thoughts_are_sent_back_by_option() -> None:
    contents = user("2+2"), model({"text": "Easy.", "thought": True}, "4"), user("Sure?")
    assert "reasoning_content" not in sent(*contents)["messages"][1]
    told = sent(*contents, style=Style(send_reasoning=True))["messages"][1]
    assert {"role": "assistant", "content": "4", "reasoning_content": "Easy."} == told


def test_a_refusal_goes_back_as_one() -> None:
    refused = {"text": "No.", "partMetadata": {"refusal": True}}
    told = sent(user("?"), model(refused), user("!"))["messages"][1]
    assert {"role": "assistant", "content": None, "refusal": "No."} == told


def test_what_a_gateway_hung_on_a_call_goes_back_with_it() -> None:
    extra = {"google": {"thought_signature": "c2ln"}}
    call = {"functionCall": {"name": "f", "id": "a"}, "partMetadata": {"extra_content": extra}}
    assert extra == sent(user("?"), model(call))["messages"][1]["tool_calls"][0]["extra_content"]


def test_images_audio_and_documents_are_parts() -> None:
    parts = sent(
        user(
            "Look:",
            {"inlineData": {"mimeType": "image/png", "data": PNG}},
            {"inlineData": {"mimeType": "audio/wav", "data": "UklG"}},
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBE", "displayName": "a.pdf"}},
            {"inlineData": {"mimeType": "text/csv", "data": "YSxi"}},
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.org/a.jpg"}},
        )
    )["messages"][0]["content"]
    assert [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"},
        },
        {"type": "text", "text": "a,b"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.jpg"}},
    ] == parts


GOOGLE_FILE = {
    "mimeType": "image/png",
    "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc",
}


@pytest.mark.parametrize(
    ("contents", "path", "noted"),
    [
        ([user("a", {"inlineData": {"mimeType": "video/mp4", "data": ""}})],
         "$.contents[0].parts[1]", "a[video/mp4, left out]"),
        ([user({"fileData": GOOGLE_FILE})], "$.contents[0].parts[0]",
         f"[image/png {GOOGLE_FILE['fileUri']}, left out]"),
        ([user("Draw"), model({"inlineData": {"mimeType": "image/png", "data": PNG}}), user("?")],
         "$.contents[1].parts[0]", "[image/png, left out]"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_named_or_noted(contents: Any, path: str, noted: str) -> None:
    with pytest.raises(InvalidContent) as caught:
        sent(*contents)
    assert path == caught.value.path
    told = sent(*contents, style=Style(unsendable="note"))["messages"]
    assert noted in [message["content"] for message in told]


def test_code_that_a_server_ran_is_told_as_text() -> None:
    told = sent(
        user("?"),
        model(
            {"executableCode": {"language": "PYTHON", "code": "print(4)"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "4\n"}},
        ),
        user("So?"),
    )["messages"][1]["content"]
    assert "```python\nprint(4)\n```" in told
    assert "4\n" in told


def test_the_generation_config_has_the_protocol_s_names() -> None:
    config = {
        "temperature": 0.5, "top_p": 0.9, "top_k": 40, "seed": 7, "max_output_tokens": 10,
        "stop_sequences": ["."], "presence_penalty": 0.1, "frequency_penalty": 0.2,
        "candidate_count": 2, "response_logprobs": True, "logprobs": 3,
    }  # fmt: skip
    got = sent(config=config, stream=True)
    del got["messages"]
    assert {
        "model": "m", "temperature": 0.5, "top_p": 0.9, "top_k": 40, "seed": 7, "max_tokens": 10,
        "stop": ["."], "presence_penalty": 0.1, "frequency_penalty": 0.2, "n": 2,
        "logprobs": True, "top_logprobs": 3, "stream": True,
        "stream_options": {"include_usage": True},
    } == got  # fmt: skip


def test_openai_s_own_servers_get_their_own_words() -> None:
    got = sent(config={"max_output_tokens": 10}, style=Style(is_openai=True))
    assert 10 == got["max_completion_tokens"]
    assert "max_tokens" not in got
    with pytest.raises(UsageError, match="top_k"):
        sent(config={"top_k": 4}, style=Style(is_openai=True))


def test_thinking_has_a_level_or_is_off() -> None:
    low = {"thinking_config": {"thinking_level": "LOW"}}
    assert "low" == sent(config=low)["reasoning_effort"]
    assert "none" == sent(config={"thinking_config": {"thinking_budget": 0}})["reasoning_effort"]
    with pytest.raises(UsageError, match="thinking_level"):
        sent(config={"thinking_config": {"thinking_budget": 1024}})


def test_a_response_schema_is_a_response_format() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    strict = {**schema, "additionalProperties": False}
    json_type = "application/json"
    assert {"type": "json_object"} == sent(config={"response_mime_type": json_type})[
        "response_format"
    ]
    for name, given, wanted, is_strict in (
        ("response_schema", schema, strict, True),
        ("response_json_schema", schema, schema, False),
        ("response_json_schema", strict, strict, True),
    ):
        got = sent(config={"response_mime_type": json_type, name: given})["response_format"]
        named = {"name": "answer", "schema": wanted, "strict": is_strict}
        assert {"type": "json_schema", "json_schema": named} == got


def test_tools_and_tool_choice() -> None:
    tools = tool_objects([weather])
    got = sent(tools=tools)
    assert "tool_choice" not in got
    function = got["tools"][0]["function"]
    assert "weather" == function["name"]
    assert "Tell the weather." == function["description"]
    assert {"city": {"type": "string"}} == function["parameters"]["properties"]
    for mode, choice in (("none", "none"), ("any", "required")):
        config = tool_config_object(mode)
        assert choice == sent(tools=tools, tool_config=config)["tool_choice"]


def test_only_allowed_functions_are_told() -> None:
    def time() -> str:
        """Tell the time."""
        return ""

    config = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["time"]}}
    got = sent(tools=tool_objects([weather, time]), tool_config=config)
    assert ["time"] == [tool["function"]["name"] for tool in got["tools"]]
    config["functionCallingConfig"]["allowedFunctionNames"] = ["tmie"]
    with pytest.raises(UnknownName, match="time"):
        sent(tools=tool_objects([weather, time]), tool_config=config)


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"tools": [{"googleSearch": {}}]}, "googleSearch"),
        ({"config": {"response_mime_type": "text/x.enum"}}, "text/x.enum"),
        ({"config": {"response_modalities": ["IMAGE"]}}, "text"),
        ({"config": {"speech_config": {}}}, "speech_config"),
        ({"more": {"cachedContent": "cachedContents/a"}}, "cachedContent"),
    ],
)
def test_what_the_protocol_cannot_do_is_refused_before_anything_is_sent(
    members: dict[str, Any], named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        sent(**members)


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(InvalidContent):
        sent(user("\ud800"))


def test_equal_histories_make_equal_bytes_and_the_past_is_encoded_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoded: list[object] = []
    write = Style._encoded

    def counted(self: Style, message: Any) -> bytes:
        encoded.append(message)
        return write(self, message)

    monkeypatch.setattr(Style, "_encoded", counted)
    head: Turn | None = None
    bodies = []
    for i in range(50):
        said = Content.view(user(f"question {i}"), frozen=True)
        path = (head.path if head else empty_path()).plus(said)
        bodies.append(body(Request(model="m", contents=path), Style()))
        head = Turn(head, [said, Content.view(model(f"answer {i}"))])
    assert len(encoded) <= 4 * 50, "the cost of a turn grows with the history"
    assert head is not None
    loose = empty_path().plus(*list(head.parent.path), Content.view(user("x"), frozen=True))  # type: ignore[union-attr]
    whole = head.parent.path.plus(Content.view(user("x"), frozen=True))  # type: ignore[union-attr]
    assert body(Request(model="m", contents=loose), Style()) == body(
        Request(model="m", contents=whole), Style()
    )
    fork = Turn(head.parent, [Content.view(user("other")), Content.view(model("way"))])
    told = json.loads(body(Request(model="m", contents=fork.path.plus(said)), Style()))["messages"]
    assert ["other", "way", "question 49"] == [m["content"] for m in told[-3:]]
    assert 2 * 49 + 3 == len(told)


def test_styles_that_write_differently_keep_their_bytes_apart() -> None:
    turn = Turn(
        None, [Content.view(user("Hi")), Content.view(model({"text": "t", "thought": True}))]
    )
    path = turn.path.plus(Content.view(user("x")))
    one = body(Request(model="m", contents=path), Style())
    other = body(Request(model="m", contents=path), Style(send_reasoning=True))
    assert one != other
    assert one == body(Request(model="m", contents=path), Style())


def test_a_model_s_name_may_hold_slashes_of_its_own() -> None:
    asked = GenerativeModel("openrouter/qwen/qwen3-8b:free")
    assert "qwen/qwen3-8b:free" == asked.model_name
    assert "openrouter" == asked.backend.name
