"""Around the chat: models, files, embeddings, cached prompts, messages, declarations."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import Any

from scripted import Fault

from cases import forms, said
from cases.asking import SCHEMA, add, now, shop

CASES: dict[str, forms.Call] = {}

MODEL = {
    "name": "models/m", "baseModelId": "m", "version": "1", "displayName": "M",
    "description": "Small.", "inputTokenLimit": 9, "outputTokenLimit": 8,
    "supportedGenerationMethods": ["generateContent"], "temperature": 0.5, "topK": 3,
}  # fmt: skip
FILE = {
    "name": "files/a", "displayName": "A", "mimeType": "text/plain", "sizeBytes": "5",
    "createTime": "2026-01-02T03:04:05.678Z", "sha256Hash": "YWI=", "uri": "https://x/files/a",
    "state": "ACTIVE",
}  # fmt: skip
CACHED = {
    "name": "cachedContents/c", "model": "models/m", "displayName": "C",
    "createTime": "2026-01-02T03:04:05Z", "updateTime": "2026-01-02T03:04:05Z",
    "expireTime": "2026-01-02T04:04:05Z", "usageMetadata": {"totalTokenCount": 40},
}  # fmt: skip


def case(call: forms.Call) -> forms.Call:
    """Add a case under its function's name."""
    CASES[call.__name__.replace("_", " ")] = call
    return call


def _add(name: str, call: forms.Call) -> None:
    CASES[name] = call


@case
def get_model(g: Any, play: Any) -> Any:
    play(MODEL)
    return [g.get_model("models/m"), g.get_model("m"), g.get_base_model("models/m")]


@case
def get_model_that_is_not_there(g: Any, play: Any) -> Any:
    play(Fault(404, "NOT_FOUND"))
    return g.get_model("models/x")


@case
def get_model_of_a_wrong_name(g: Any, play: Any) -> Any:
    return g.get_model("other/x")


@case
def list_models(g: Any, play: Any) -> Any:
    play({"models": [MODEL], "nextPageToken": "p2"}, {"models": [{**MODEL, "name": "models/n"}]})
    return [model.name for model in g.list_models(page_size=1)]


@case
def list_no_models(g: Any, play: Any) -> Any:
    play({})
    return list(g.list_models())


@case
def get_file(g: Any, play: Any) -> Any:
    play(FILE)
    file = g.get_file("a")
    return [
        file, file.name, file.uri, file.size_bytes, file.state, str(file.create_time),
        file.mime_type, file.sha256_hash, file.to_dict(),
    ]  # fmt: skip


@case
def list_files(g: Any, play: Any) -> Any:
    play({"files": [FILE], "nextPageToken": "p2"}, {"files": [{**FILE, "name": "files/b"}]})
    return [file.name for file in g.list_files()]


@case
def delete_files(g: Any, play: Any) -> Any:
    play({})
    file = g.types.File({"name": "files/b"})
    return [
        g.delete_file("a"), g.delete_file("files/a"), g.delete_file(file),
        g.types.File({"name": "files/c"}).delete(),
    ]  # fmt: skip


@case
def say_a_file(g: Any, play: Any) -> Any:
    play(FILE, said.HELLO)
    file = g.get_file("files/a")
    return g.GenerativeModel("models/m").generate_content(["What is it?", file]).text


EMBED = {
    "text": ("models/e", "hello", {}),
    "name without models": ("e", "hello", {}),
    "content": ("models/e", {"parts": ["hello"]}, {}),
    "task": ("models/e", "hello", {"task_type": "retrieval_query"}),
    "short task": ("models/e", "hello", {"task_type": "similarity"}),
    "task number": ("models/e", "hello", {"task_type": 4}),
    "title": ("models/e", "hello", {"task_type": "document", "title": "T"}),
    "title without task": ("models/e", "hello", {"title": "T"}),
    "wrong task": ("models/e", "hello", {"task_type": "x"}),
    "dimensions": ("models/e", "hello", {"output_dimensionality": 2}),
    "negative dimensions": ("models/e", "hello", {"output_dimensionality": -2}),
}
for embed_name, (model, content, options) in EMBED.items():

    def embed(
        g: Any, play: Any, model: Any = model, content: Any = content, options: Any = options
    ) -> Any:
        play({"embedding": {"values": [0.25, -0.5]}})
        return g.embed_content(model, content, **options)

    _add(f"embed_content({embed_name})", embed)


@case
def embed_several(g: Any, play: Any) -> Any:
    play({"embeddings": [{"values": [0.25]}, {"values": [0.5]}]})
    return g.embed_content("models/e", ["a", "b"], task_type="query")


@case
def embed_very_many(g: Any, play: Any) -> Any:
    play(*[{"embeddings": [{"values": [0.25]}] * n} for n in (100, 50)])
    return len(g.embed_content("models/e", ["a"] * 150)["embedding"])


@case
def embed_async(g: Any, play: Any) -> Any:
    play({"embedding": {"values": [0.25]}})
    return asyncio.run(g.embed_content_async("models/e", "a"))


@case
def create_a_cached_content(g: Any, play: Any) -> Any:
    play(CACHED)
    cached = g.caching.CachedContent.create(
        "m", display_name="C", system_instruction="Be brief.", contents=["Long."], ttl=60
    )
    return [cached.name, cached.model, cached.usage_metadata.total_token_count, cached.expire_time]


@case
def create_a_cached_content_with_tools(g: Any, play: Any) -> Any:
    play(CACHED)
    config = {"function_calling_config": "any"}
    return g.caching.CachedContent.create("m", tools=[add], tool_config=config).name


@case
def create_with_both_times(g: Any, play: Any) -> Any:
    return g.caching.CachedContent.create("m", ttl=3, expire_time=4)


@case
def get_and_list_cached_contents(g: Any, play: Any) -> Any:
    play(CACHED, CACHED, {"cachedContents": [CACHED]})
    cached = g.caching.CachedContent
    return [cached.get("c").name, cached("cachedContents/c").name, [c.name for c in cached.list()]]


@case
def update_and_delete_a_cached_content(g: Any, play: Any) -> Any:
    play(CACHED, {**CACHED, "expireTime": "2026-01-02T05:04:05Z"}, {})
    cached = g.caching.CachedContent.get("c")
    cached.update(ttl=7200)
    return [cached.expire_time, cached.delete()]


@case
def update_nothing(g: Any, play: Any) -> Any:
    play(CACHED)
    return g.caching.CachedContent.get("c").update()


@case
def ask_with_a_cached_content(g: Any, play: Any) -> Any:
    play(CACHED, said.HELLO)
    model = g.GenerativeModel.from_cached_content("c", generation_config={"temperature": 0.5})
    return [model.cached_content, model.model_name, model.generate_content("hi").text]


@case
def declaration_of_a_function(g: Any, play: Any) -> Any:
    made = g.types.FunctionDeclaration.from_function
    return [made(one) for one in (add, now)]


@case
def declaration_with_defaults(g: Any, play: Any) -> Any:
    return g.types.FunctionDeclaration.from_function(shop)


@case
def declaration_with_descriptions(g: Any, play: Any) -> Any:
    made = g.types.FunctionDeclaration.from_function(add, descriptions={"a": "The first."})
    return [made.name, made.description, made.parameters.properties["a"].description]


@case
def call_through_a_library(g: Any, play: Any) -> Any:
    library = g.types.FunctionLibrary([add])
    call = g.protos.FunctionCall(name="add", args={"a": 1.0, "b": 2.0})
    return [library(call), library["add"].name, library[call].name]


@case
def tool_by_name(g: Any, play: Any) -> Any:
    tool = g.types.Tool(function_declarations=[
        add, {"name": "f", "description": "d", "parameters": SCHEMA}])  # fmt: skip
    by_hand = g.protos.FunctionCall(name="f", args={})
    return [tool["f"].name, len(tool.function_declarations), tool(by_hand), tool.to_proto()]


MESSAGES = {
    "Part": lambda p: p.Part(text="a"),
    "Part of bytes": lambda p: p.Part(inline_data={"mime_type": "a/b", "data": b"1"}),
    "Part of a call": lambda p: p.Part(function_call={"name": "f", "args": {"a": [1.5, None]}}),
    "Content": lambda p: p.Content(role="user", parts=[{"text": "a"}, p.Part(text="b")]),
    "Candidate": lambda p: p.Candidate(finish_reason=1, index=2, token_count=3),
    "Schema": lambda p: p.Schema(type="OBJECT", properties={"a": p.Schema(type=1, enum=["x"])}),
    "File": lambda p: p.File(name="files/a", size_bytes=5, state=2),
    "Tool": lambda p: p.Tool(code_execution={}, function_declarations=[{"name": "f"}]),
    "SafetySetting": lambda p: p.SafetySetting(category=7, threshold="BLOCK_NONE"),
    "GenerationConfig": lambda p: p.GenerationConfig(temperature=0.5, stop_sequences=["a"]),
    "CachedContent": lambda p: p.CachedContent(ttl={"seconds": 5}, model="models/m"),
    "GroundingMetadata": lambda p: p.GroundingMetadata(web_search_queries=["a"]),
    "Corpus": lambda p: p.Corpus(name="corpora/a"),
    "Permission": lambda p: p.Permission(role=2),
}
for message_name, make in MESSAGES.items():

    def message(g: Any, play: Any, make: Any = make) -> Any:
        made = make(g.protos)
        kind = type(made)
        return {
            "dict": kind.to_dict(made),
            "names": kind.to_dict(made, use_integers_for_enums=False),
            "set": kind.to_dict(made, including_default_value_fields=False),
            "json": forms.loads(kind.to_json(made)),
            "again": kind.from_json(kind.to_json(made)) == made,
            "copies": [copy.deepcopy(made) == made, pickle.loads(pickle.dumps(made)) == made],
            "equal": [made == make(g.protos), made == kind(), bool(made), bool(kind())],
            "keywords": kind(made) == made,
        }

    _add(f"protos.{message_name}", message)


@case
def one_of_several(g: Any, play: Any) -> Any:
    part = g.protos.Part(text="a")
    before = ["text" in part, "inline_data" in part]
    part.function_call = {"name": "f"}
    return [before, part.text, "text" in part, part.function_call.name]


@case
def edit_a_content(g: Any, play: Any) -> Any:
    content = g.protos.Content()
    content.parts.append(g.protos.Part(text="a"))
    content.parts.extend([{"text": "b"}])
    content.role = "user"
    content.parts[0].text = "c"
    del content.parts[1]
    return content


@case
def unknown_members_are_refused(g: Any, play: Any) -> Any:
    return g.protos.Part(txt="a")


@case
def enumerations(g: Any, play: Any) -> Any:
    reasons = g.protos.Candidate.FinishReason
    return [reasons.STOP, reasons(3).name, reasons["SPII"], g.types.BlockedReason.SAFETY.name]
