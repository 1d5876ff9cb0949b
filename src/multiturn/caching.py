"""Beginnings of prompts that the server keeps, so that they are cheaper to send again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Self

from multiturn.errors import InvalidContent, UsageError
from multiturn.messages import resources
from multiturn.messages.message import Object
from multiturn.to_content import ROLES, ContentLike, ContentsLike, to_content, to_contents
from multiturn.tools.accepted import ToolConfigLike, tool_config_object, tool_objects
from multiturn.tools.function_library import ToolsLike
from multiturn.types.caching_types import (
    ExpireTimeTypes,
    TTLTypes,
    to_optional_expire_time,
    to_optional_ttl,
)

_NAME_CHARACTERS = 128  # the API's limit of display_name


class CachedContent:
    """A beginning of prompts that the server keeps until ``expire_time``.

    Args:
        name: As ``cachedContents/abc``, or without ``cachedContents/``; looked up at once.
    """

    def __init__(self, name: str) -> None:
        self._proto: resources.CachedContent = type(self).get(name)._proto

    @classmethod
    def _of(cls, object_: Object) -> Self:
        cached = cls.__new__(cls)
        cached._proto = resources.CachedContent.view(object_)
        return cached

    @classmethod
    def _from_obj(cls, obj: CachedContent | resources.CachedContent | Mapping[str, Any]) -> Self:
        message = obj._proto if isinstance(obj, CachedContent) else resources.CachedContent(obj)
        return cls._of(message.json_object)

    @classmethod
    def create(
        cls,
        model: str,
        *,
        display_name: str | None = None,
        system_instruction: ContentLike | None = None,
        contents: ContentsLike = None,
        tools: ToolsLike = None,
        tool_config: ToolConfigLike = None,
        ttl: TTLTypes | None = None,
        expire_time: ExpireTimeTypes | None = None,
    ) -> Self:
        """Have the server keep the beginning of prompts.

        Args:
            model: The only model that can use it.
            display_name: For people; at most 128 characters.
            system_instruction: What the model is told before everything else.
            contents: How the conversation begins.
            tools: What the model may call.
            tool_config: How it may call.
            ttl: How long it is kept; None leaves it to the server.
            expire_time: Until when, instead of ``ttl``.
        """
        from multiturn.backends.gemini.service import ask

        if not isinstance(model, str) or not model:
            raise InvalidContent("model", model, "a model's name as 'models/gemini-…'")
        if display_name and len(str(display_name)) > _NAME_CHARACTERS:
            raise InvalidContent(
                "display_name", display_name, f"at most {_NAME_CHARACTERS} characters"
            )
        listed = [content.json_object for content in to_contents(contents, path="$.contents")]
        if listed and not listed[-1].get("role"):
            listed[-1]["role"] = "user"
        told = None
        if system_instruction:
            told = to_content(
                system_instruction, path="$.system_instruction", roles=(*ROLES, "system")
            ).json_object
        members: Object = {
            "model": model if "/" in model else f"models/{model}",
            "displayName": display_name,
            "systemInstruction": told,
            "contents": listed,
            "tools": list(tool_objects(tools)),
            "toolConfig": tool_config_object(tool_config),
            **_kept(ttl, expire_time),
        }
        content = {name: value for name, value in members.items() if value}
        return cls._of(ask("POST", "cachedContents", content=content))

    @classmethod
    def get(cls, name: str) -> Self:
        """Look one up."""
        from multiturn.backends.gemini.service import ask

        if not isinstance(name, str) or not name:
            raise InvalidContent("name", name, "a name as 'cachedContents/my-cache'")
        full = name if name.startswith("cachedContents/") else f"cachedContents/{name}"
        return cls._of(ask("GET", full))

    @classmethod
    def list(cls, page_size: int | None = 1) -> Iterator[Self]:
        """Give all, asking for pages as they are needed."""
        from multiturn.backends.gemini.service import listed

        for found in listed("cachedContents", "cachedContents", page_size=page_size):
            yield cls._of(found)

    def update(
        self, *, ttl: TTLTypes | None = None, expire_time: ExpireTimeTypes | None = None
    ) -> None:
        """Change how long it is kept; one of the two is given."""
        from multiturn.backends.gemini.service import ask

        members = _kept(ttl, expire_time)
        if not members:
            raise UsageError("nothing to update: give ttl or expire_time")
        asked = {"updateMask": ",".join(members)}
        updated = ask("PATCH", self.name, asked=asked, content=members)
        self._proto.json_object.pop("ttl", None)
        self._proto.json_object.update(updated)

    def delete(self) -> None:
        """Have the server forget it."""
        from multiturn.backends.gemini.service import ask

        ask("DELETE", self.name)

    @property
    def name(self) -> str:
        """Its full name, as ``cachedContents/abc``."""
        return self._proto.name

    @property
    def model(self) -> str:
        """The only model that can use it."""
        return self._proto.model

    @property
    def display_name(self) -> str:
        """The name that its owner gave."""
        return self._proto.display_name

    @property
    def usage_metadata(self) -> resources.CachedContentUsage:
        """How many tokens it has."""
        return self._proto.usage_metadata

    @property
    def create_time(self) -> datetime | None:
        """When it was made."""
        return self._proto.create_time  # type: ignore[no-any-return]

    @property
    def update_time(self) -> datetime | None:
        """When it was last changed."""
        return self._proto.update_time  # type: ignore[no-any-return]

    @property
    def expire_time(self) -> datetime | None:
        """When the server forgets it."""
        return self._proto.expire_time  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        usage = f"{{\n        'total_token_count': {self.usage_metadata.total_token_count},\n    }}"
        return (
            f"CachedContent(\n    name='{self.name}',\n    model='{self.model}',\n"
            f"    display_name='{self.display_name}',\n    usage_metadata={usage},\n"
            f"    create_time={self.create_time},\n    update_time={self.update_time},\n"
            f"    expire_time={self.expire_time}\n)"
        )

    __str__ = __repr__


def _kept(ttl: TTLTypes | None, expire_time: ExpireTimeTypes | None) -> Object:
    """Return how long something is kept, as the wire has it."""
    if ttl is not None and expire_time is not None:
        raise UsageError("ttl and expire_time are both given; give one of them")
    return dict(
        resources.CachedContent(
            ttl=to_optional_ttl(ttl), expire_time=to_optional_expire_time(expire_time)
        ).json_object
    )
