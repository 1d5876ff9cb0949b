"""What other clients of the service send is read without loss, and said again by ours.

``recorded/`` holds, client by client, the shapes of requests that each one makes, with
words and values of our own.
"""

from __future__ import annotations

import io
import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

import multiturn
from gemini.canned import Canned
from gemini.wire_server import event, reply
from multiturn.caching import CachedContent
from multiturn.http import HttpHead, HttpRequest
from multiturn.messages import bodies, resources
from multiturn.messages.message import Message
from ways import Way

RECORDED = Path(__file__).parent / "recorded"
ROWS = {
    f"{file.stem} {number}": row
    for file in sorted(RECORDED.glob("*.json"))
    for number, row in enumerate(json.loads(file.read_text(encoding="utf-8")))
}
BODIES = {
    "generateContent": bodies.GenerateContentRequest,
    "streamGenerateContent": bodies.GenerateContentRequest,
    "countTokens": bodies.CountTokensRequest,
    "embedContent": bodies.EmbedContentRequest,
    "batchEmbedContents": bodies.BatchEmbedContentsRequest,
    "cachedContents": resources.CachedContent,
}


def verb(row: dict[str, Any]) -> str:
    return re.split("[:/]", row["path"])[-1]


def named(*verbs: str, but: Callable[[dict[str, Any]], bool] = lambda row: False) -> Any:
    found = [name for name, row in ROWS.items() if verb(row) in verbs and not but(row)]
    assert found
    return pytest.mark.parametrize("name", found)


def generated(row: dict[str, Any]) -> Any:
    return row["body"].get("generateContentRequest", row["body"])


# -- one spelling for all ------------------------------------------------------------------

# Of the members that some clients write as Python does; names within schemas and arguments
# are the caller's, and stay.
SPELLED = {
    "mime_type": "mimeType", "file_uri": "fileUri", "display_name": "displayName",
    "size_bytes": "sizeBytes", "include_thoughts": "includeThoughts",
    "parameters_json_schema": "parametersJsonSchema",
    "response_json_schema": "responseJsonSchema", "property_ordering": "propertyOrdering",
}  # fmt: skip
TYPES = {1: "STRING", 2: "NUMBER", 3: "INTEGER", 4: "BOOLEAN", 5: "ARRAY", 6: "OBJECT"}
NUMBERS = {
    "category": {7: "HARM_CATEGORY_HARASSMENT"},
    "threshold": {4: "BLOCK_NONE"},
    "mode": {2: "ANY"},
}


def spelled(value: Any, name: str = "", within: str = "") -> Any:
    """Return a request with the wire's own names of members and enumerations."""
    if isinstance(value, list):
        return [spelled(item, name, within) for item in value]
    if isinstance(value, dict):
        within = SPELLED.get(name, name) if name.endswith(("chema", "parameters")) else within
        return {SPELLED.get(key, key): spelled(item, key, within) for key, item in value.items()}
    if name == "type" and within in ("parameters", "responseSchema"):
        return TYPES[value] if isinstance(value, int) else value.upper()
    if name in NUMBERS and isinstance(value, int):
        return NUMBERS[name][value]
    return value


@named(*BODIES)
def test_every_member_is_known_and_kept(name: str) -> None:
    body = ROWS[name]["body"]
    kind = BODIES[verb(ROWS[name])]
    expected = spelled(body)
    read = kind.from_json(json.dumps(body))
    assert expected == read.json_object
    assert expected == kind(body).json_object, "a member is not known"


@named(*BODIES)
def test_what_the_wire_says_stays_as_it_is(name: str) -> None:
    row = ROWS[name]
    kind, text = BODIES[verb(row)], json.dumps(row["body"])
    viewed = kind.view(json.loads(text))
    assert text == json.dumps(viewed.json_object)
    again = kind.from_dict(kind.to_dict(viewed, preserving_proto_field_name=False))
    assert again == kind.from_json(text)


@named(*BODIES)
def test_every_member_can_be_read(name: str) -> None:
    kind = BODIES[verb(ROWS[name])]
    _read_all(kind.from_json(json.dumps(ROWS[name]["body"])))


def _read_all(message: Message) -> None:
    repr(message)
    for member in message.fields:
        value = getattr(message, member)
        for one in value if isinstance(value, list) or hasattr(value, "append") else [value]:
            if isinstance(one, Message) and one:
                _read_all(one)


# -- said again by our own interface -------------------------------------------------------


class Service(Canned):
    """Answers as the method that is asked would."""

    def exchange(self, request: HttpRequest, cancel: Any) -> Iterator[HttpHead | bytes]:
        self.requests.append(request)
        place = urlsplit(request.url)
        if place.path.endswith("/upload"):
            yield HttpHead(200, {"x-goog-upload-status": "final"})
            yield json.dumps({"file": {"name": "files/report-1"}}).encode()
            return
        yield HttpHead(200, {"x-goog-upload-url": "https://kites.example/upload"})
        yield self.answer(place.path, place.query)

    def answer(self, path: str, query: str) -> bytes:
        if path.endswith(":streamGenerateContent"):
            return event(reply())
        answers = {
            ":generateContent": reply(),
            ":countTokens": {"totalTokens": 3},
            ":embedContent": {"embedding": {"values": [1]}},
            ":batchEmbedContents": {"embeddings": [{"values": [1]}]},
            "/models": {"models": [{"name": "models/kite-1"}]},
        }
        found = next((answers[end] for end in answers if path.endswith(end)), {})
        more = {"nextPageToken": "2"} if query == "pageSize=2" else {}
        return json.dumps({**found, **more}).encode()


@pytest.fixture
def service() -> Iterator[Service]:
    yield Service()
    multiturn.configure()


def configured(row: dict[str, Any], service: Service) -> None:
    """Configure as the client was: server, version, and what stands before the models."""
    before, version = re.fullmatch("(.*)/(v1(?:beta1?)?)/.*", row["path"]).groups()  # type: ignore[union-attr]
    location = re.search("projects/(.+)/locations/([^/]+)/", row["path"])
    project = dict(zip(("project", "location"), location.groups(), strict=True)) if location else {}
    multiturn.configure(
        api_key="k-of-the-tests",
        client_options={"api_endpoint": "https://kites.example" + before.replace("/upload", "")},
        api_version=version,
        vertexai="publishers" in row["path"],
        http_client=service,
        **project,
    )


def model_of(row: dict[str, Any], body: dict[str, Any]) -> multiturn.GenerativeModel:
    name = re.search("models/([^:]+)", row["path"])[1]  # type: ignore[index]
    model = multiturn.GenerativeModel(
        f"models/{name}",
        system_instruction=body.get("systemInstruction"),
        generation_config=body.get("generationConfig"),
        safety_settings=body.get("safetySettings"),
        tools=body.get("tools"),
        tool_config=body.get("toolConfig"),
    )
    model._cached_content = body.get("cachedContent")
    return model


def expected_of(body: dict[str, Any]) -> dict[str, Any]:
    """Return how we say what another client said.

    What is empty is left out, a system instruction has no role, whoever is not the model
    is the user, and thoughts that are not signed stay here.
    """
    said = {name: value for name, value in spelled(body).items() if value}
    if "systemInstruction" in said:
        said["systemInstruction"].pop("role", None)
    said["contents"] = [_content(content) for content in said["contents"]]
    return said


def _content(content: dict[str, Any]) -> dict[str, Any]:
    parts = [p for p in content["parts"] if not p.get("thought") or "thoughtSignature" in p]
    role = "model" if content.get("role") == "model" else "user"
    return {"role": role, "parts": parts or [{"text": ""}]}


def asked(request: HttpRequest) -> tuple[str, str, str, Any]:
    place = urlsplit(request.url)
    body = json.loads(request.body) if request.body else None
    return request.method, place.path, unquote(place.query), _bytes_read(body)


def recorded(row: dict[str, Any], body: Any) -> tuple[str, str, str, Any]:
    pairs = row.get("query", "").split("&")
    query = "&".join(pair for pair in pairs if not pair.startswith("$alt="))
    if "streamGenerateContent" in row["path"]:
        query = "alt=sse"
    return row["method"], row["path"], query, _bytes_read(body)


def _bytes_read(value: Any, name: str = "") -> Any:
    """Return a request with its bytes decoded, of which the wire has several spellings."""
    if isinstance(value, dict):
        return {key: _bytes_read(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_bytes_read(item) for item in value]
    if name in ("data", "thoughtSignature"):
        return urlsafe_b64decode(value.replace("+", "-").replace("/", "_") + "==")
    return value


def is_lost(row: dict[str, Any]) -> bool:
    """Whether a client forgot what the results that it sends belong to."""
    return "functionResponse" in row["body"]["contents"][0]["parts"][0]


# An address without a method is none of ours.
said = named(
    "generateContent", "streamGenerateContent", but=lambda row: row["path"] == "/" or is_lost(row)
)


@said
async def test_a_chat_says_the_same(way: Way, name: str, service: Service) -> None:
    row = ROWS[name]
    configured(row, service)
    *history, message = row["body"]["contents"]
    chat = model_of(row, row["body"]).start_chat(history=history)
    stream = verb(row) == "streamGenerateContent"
    await way.resolve(await way.send(chat, message, stream=stream))
    assert recorded(row, expected_of(row["body"])) == asked(service.requests[0])


@said
async def test_one_question_says_the_same(way: Way, name: str, service: Service) -> None:
    row = ROWS[name]
    configured(row, service)
    stream = verb(row) == "streamGenerateContent"
    model = model_of(row, row["body"])
    await way.resolve(await way.generate(model, row["body"]["contents"], stream=stream))
    assert recorded(row, expected_of(row["body"])) == asked(service.requests[0])


@named("generateContent", "streamGenerateContent", but=lambda row: not is_lost(row))
async def test_a_client_that_lost_its_calls_is_told_so(
    way: Way, name: str, service: Service
) -> None:
    row = ROWS[name]
    configured(row, service)
    with pytest.raises(multiturn.InvalidContent, match="the content before it calls no function"):
        await way.generate(model_of(row, row["body"]), row["body"]["contents"])
    assert [] == service.requests


@named("countTokens")
async def test_counting_says_the_same(way: Way, name: str, service: Service) -> None:
    row = ROWS[name]
    configured(row, service)
    body = generated(row)
    counted = await way.count(model_of(row, body), body["contents"])
    assert 3 == counted.total_tokens
    expected = expected_of(body)
    if "publishers" not in row["path"]:  # Vertex AI takes the members themselves
        model = re.search("models/[^:]+", row["path"])[0]  # type: ignore[index]
        expected = {"generateContentRequest": {**expected, "model": model}}
    assert recorded(row, expected) == asked(service.requests[0])


@named("embedContent", "batchEmbedContents")
def test_embedding_says_the_same(name: str, service: Service) -> None:
    row = ROWS[name]
    configured(row, service)
    body = row["body"]
    model = re.search("models/[^:]+", row["path"])[0]  # type: ignore[index]
    requests = body.get("requests", [body])
    first = requests[0]
    texts = [request["content"]["parts"][0]["text"] for request in requests]
    multiturn.embed_content(
        model,
        texts if "requests" in body else texts[0],
        task_type=first.get("taskType"),
        output_dimensionality=first.get("outputDimensionality"),
    )
    listed = [
        {**request, "model": model, "content": {"parts": request["content"]["parts"]}}
        for request in requests
    ]
    expected = {"requests": listed} if "requests" in body else listed[0]
    assert recorded(row, expected) == asked(service.requests[0])


def _listing(part: str) -> Any:
    found = [
        name
        for name, row in ROWS.items()
        if row["method"] != "POST" and part in row["path"] and "publishers" not in row["path"]
    ]
    return pytest.mark.parametrize("name", found)


@_listing("/models")
def test_models_are_looked_up_the_same(name: str, service: Service) -> None:
    row = ROWS[name]
    configured(row, service)
    if row["path"].endswith("/models"):
        models = multiturn.list_models(page_size=2)
        for _ in range(1 + ("pageToken" in row["query"])):
            next(models)
    else:
        multiturn.get_model("models/kite-1")
    assert recorded(row, None) == asked(service.requests[-1])


@_listing("/files")
def test_files_are_looked_up_the_same(name: str, service: Service) -> None:
    row = ROWS[name]
    configured(row, service)
    if row["method"] == "DELETE":
        multiturn.delete_file("report-1")
    elif row["path"].endswith("/files"):
        size = re.search("pageSize=(\\d+)", row.get("query", ""))
        list(multiturn.list_files(page_size=int(size[1]) if size else None))
    else:
        multiturn.get_file("report-1")
    assert recorded(row, None) == asked(service.requests[-1])


@_listing("/cachedContents")
def test_what_is_cached_is_dropped_the_same(name: str, service: Service) -> None:
    row = ROWS[name]
    configured(row, service)
    CachedContent._of({"name": "cachedContents/reports"}).delete()
    assert recorded(row, None) == asked(service.requests[-1])


@named("cachedContents")
def test_caching_says_the_same(name: str, service: Service) -> None:
    row = ROWS[name]
    configured(row, service)
    body = row["body"]
    CachedContent.create(body["model"], contents=body["contents"], ttl=90)
    assert recorded(row, spelled(body)) == asked(service.requests[0])


@pytest.mark.parametrize(
    "name", [n for n, row in ROWS.items() if row["path"].startswith("/upload")]
)
def test_an_upload_begins_the_same(name: str, service: Service) -> None:
    row = ROWS[name]
    configured(row, service)
    multiturn.upload_file(io.BytesIO(b"kites"), mime_type="text/plain", display_name="kites.txt")
    expected = spelled(row["body"])
    expected["file"]["sizeBytes"] = str(expected["file"]["sizeBytes"])
    assert recorded(row, expected) == asked(service.requests[0])
