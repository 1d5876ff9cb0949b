"""The conversation with a language model, as one Python object.

import multiturn as genai

chat = genai.GenerativeModel().start_chat()
print(chat.send_message("Hello").text)
"""

from __future__ import annotations

from multiturn import protos, types
from multiturn.chat import ChatSession
from multiturn.config import GenerationConfig
from multiturn.errors import MultiturnError
from multiturn.model import GenerativeModel
from multiturn.retry import Retry

__version__ = "0.1.0"

__all__ = [
    "ChatSession",
    "GenerationConfig",
    "GenerativeModel",
    "MultiturnError",
    "Retry",
    "__version__",
    "protos",
    "types",
]
