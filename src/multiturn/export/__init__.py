"""Conversations out of multiturn and into it, in its own format and those of others.

``multiturn`` is lossless; what another format has no place for is named, not hidden.

    chat.export("openai", "chat.json").lost
    chat = genai.load_chat("conversations.json", conversation="Planning")
"""

from __future__ import annotations

from multiturn.export.conversation import Conversation
from multiturn.export.exporting import Export, FilePath, export
from multiturn.export.loading import load_chat, read
from multiturn.export.registry import NAMES
from multiturn.export.report import Lost

__all__ = ["NAMES", "Conversation", "Export", "FilePath", "Lost", "export", "load_chat", "read"]
