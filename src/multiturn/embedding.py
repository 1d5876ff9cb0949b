"""Vectors for contents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from multiturn.checks import whole
from multiturn.errors import InvalidContent, MalformedReply, UnknownName
from multiturn.messages import resources
from multiturn.messages.bodies import TaskType
from multiturn.messages.content import Content
from multiturn.messages.message import Message, Object
from multiturn.options import RequestOptionsLike
from multiturn.to_content import ContentLike, to_content
from multiturn.types.model_types import Model, make_model_name

EmbeddingTaskType = TaskType
TaskTypeLike: TypeAlias = "TaskType | str | int | None"

DEFAULT_EMB_MODEL = "models/embedding-001"
# Of the API's batchEmbedContents.
EMBEDDING_MAX_BATCH_SIZE = 100
_SHORT_NAMES = {
    "unspecified": "TASK_TYPE_UNSPECIFIED",
    "query": "RETRIEVAL_QUERY",
    "document": "RETRIEVAL_DOCUMENT",
    "similarity": "SEMANTIC_SIMILARITY",
    "qa": "QUESTION_ANSWERING",
    "verification": "FACT_VERIFICATION",
}


def to_task_type(x: TaskType | str | int) -> TaskType:
    """Return what an embedding is for, from its number, name or short name in any case."""
    if isinstance(x, str):
        name = _SHORT_NAMES.get(x.lower(), x.upper())
        if name not in TaskType.__members__:
            raise UnknownName("task of an embedding", x, TaskType.__members__)
        return TaskType[name]
    return TaskType(x)


def embed_content(
    model: str | Model | resources.Model,
    content: ContentLike | Iterable[ContentLike],
    task_type: TaskTypeLike = None,
    title: str | None = None,
    output_dimensionality: int | None = None,
    client: Any = None,
    request_options: RequestOptionsLike = None,
) -> dict[str, Any]:
    """Return the vector of a content, or those of several.

    Args:
        model: As ``models/gemini-embedding-001``.
        content: One content in any form; a list is several, each with a vector.
        task_type: What it is for, as "retrieval_query".
        title: Of a document, with ``task_type="retrieval_document"``.
        output_dimensionality: Cut the vector to so many numbers.
        client: Not used; stands for old programs.
        request_options: Time limit, retries, and how the server is reached.

    Returns:
        ``{"embedding": […]}``; of several contents, a list of vectors.
    """
    from multiturn.backends.gemini.service import ask

    asked = _Asked(model, content, task_type, title, output_dimensionality)
    vectors = [
        asked.vectors(ask("POST", asked.place, content=body, options=request_options))
        for body in asked.bodies()
    ]
    return asked.result(vectors)


async def embed_content_async(
    model: str | Model | resources.Model,
    content: ContentLike | Iterable[ContentLike],
    task_type: TaskTypeLike = None,
    title: str | None = None,
    output_dimensionality: int | None = None,
    client: Any = None,
    request_options: RequestOptionsLike = None,
) -> dict[str, Any]:
    """Do as ``embed_content``, without blocking the event loop."""
    from multiturn.backends.gemini.service import ask_async

    asked = _Asked(model, content, task_type, title, output_dimensionality)
    vectors = [
        asked.vectors(await ask_async("POST", asked.place, content=body, options=request_options))
        for body in asked.bodies()
    ]
    return asked.result(vectors)


class _Asked:
    """What is embedded: one content, or several in batches."""

    def __init__(
        self,
        model: str | Model | resources.Model,
        content: Any,
        task_type: TaskTypeLike,
        title: str | None,
        output_dimensionality: int | None,
    ) -> None:
        self._model = make_model_name(model, "model")
        task = None if not task_type else to_task_type(task_type)
        if title and task is not TaskType.RETRIEVAL_DOCUMENT:
            raise InvalidContent(
                "task_type", task_type, "'retrieval_document', since a title is given"
            )
        whole("output_dimensionality", output_dimensionality, 0, or_none=True)
        self._members: Object = {"model": self._model}
        if task is not None:
            self._members["taskType"] = task.wire
        if title:
            self._members["title"] = title
        if output_dimensionality:
            self._members["outputDimensionality"] = output_dimensionality
        self._is_batch = isinstance(content, Iterable) and not isinstance(
            content, str | bytes | Mapping | Message
        )
        contents = content if self._is_batch else [content]
        self._requests = [
            self._request(
                to_content(one, path=f"$.content[{i}]" if self._is_batch else "$.content")
            )
            for i, one in enumerate(contents)
        ]

    @property
    def place(self) -> str:
        return f"{self._model}:{'batchEmbedContents' if self._is_batch else 'embedContent'}"

    def _request(self, content: Content) -> Object:
        return {**self._members, "content": content.json_object}

    def bodies(self) -> Iterator[Object]:
        if not self._is_batch:
            yield self._requests[0]
            return
        for start in range(0, len(self._requests), EMBEDDING_MAX_BATCH_SIZE):
            batch = self._requests[start : start + EMBEDDING_MAX_BATCH_SIZE]
            yield {"requests": batch}

    def vectors(self, answered: Object) -> list[list[float]]:
        found: Any = answered.get("embeddings") if self._is_batch else [answered.get("embedding")]
        try:
            # JSON writes 1.0 as 1.
            return [[*map(float, vector.get("values", []))] for vector in found]
        except (TypeError, AttributeError, ValueError):
            raise MalformedReply("the server answered without embeddings", answered) from None

    def result(self, vectors: list[list[list[float]]]) -> dict[str, Any]:
        flat = [vector for batch in vectors for vector in batch]
        return {"embedding": flat if self._is_batch else flat[0]}
