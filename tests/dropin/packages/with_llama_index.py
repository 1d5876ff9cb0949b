"""A conversation through llama-index-llms-gemini."""

import sys

import google.generativeai as genai
from llama_index.core.llms import ChatMessage
from llama_index.llms.gemini import Gemini

genai.configure(client_options={"api_endpoint": sys.argv[1]})
llm = Gemini(model="models/gemini-test", api_key="a-key-of-tests", api_base=sys.argv[1])
history = [
    ChatMessage(role="user", content="My name is Ada."),
    ChatMessage(role="assistant", content="Hello Ada."),
    ChatMessage(role="user", content="What is my name?"),
]
print("chat:", llm.chat(history).message.content)
print("stream:", "".join(piece.delta for piece in llm.stream_chat(history)))
print("complete:", llm.complete("Hi").text)
