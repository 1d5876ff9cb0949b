"""A conversation through google-ai-haystack."""

import sys

import google.generativeai as genai
from haystack.dataclasses import ChatMessage
from haystack.utils import Secret
from haystack_integrations.components.generators.google_ai import (
    GoogleAIGeminiChatGenerator,
    GoogleAIGeminiGenerator,
)

key = Secret.from_token("a-key-of-tests")
chat = GoogleAIGeminiChatGenerator(model="gemini-test", api_key=key)
generator = GoogleAIGeminiGenerator(model="gemini-test", api_key=key)
genai.configure(api_key="a-key-of-tests", client_options={"api_endpoint": sys.argv[1]})
messages = [
    ChatMessage.from_system("Be brief."),
    ChatMessage.from_user("My name is Ada."),
    ChatMessage.from_assistant("Hello Ada."),
    ChatMessage.from_user("What is my name?"),
]
print("chat:", chat.run(messages=messages)["replies"][0].text)
print("generate:", generator.run(parts=["Hi"])["replies"][0])
