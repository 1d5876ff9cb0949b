"""The model calls functions of this program: streaming, forced, and as it likes."""

from typing import Literal

import multiturn as genai


def weather(city: str, unit: Literal["C", "F"] = "C") -> dict:
    """Tell the weather of now.

    Args:
        city: Name of the city.
        unit: Of the temperature.
    """
    print(f"  weather({city!r}, {unit!r})")
    return {"sky": "rain", "temperature": 3 if unit == "C" else 37}


def add(a: int, b: int) -> int:
    """Add two numbers."""
    print(f"  add({a}, {b})")
    return a + b


FORCED = {"function_calling_config": {"mode": "ANY"}}

model = genai.GenerativeModel(tools=[weather, add], generation_config={"max_output_tokens": 40})

print("A call is forced, and the answer streamed:")
chat = model.start_chat(enable_automatic_function_calling=True)
question = "How is the weather in Paris?"
for chunk in chat.send_message(question, stream=True, tool_config=FORCED):
    print(chunk.text, end="", flush=True)
print()

print("The model decides whether to call:")
chat = model.start_chat(enable_automatic_function_calling=True)
response = chat.send_message("What is 20 plus 22?")
print(response.text)
print(response.usage.total_token_count, "tokens in", len(response.usage_by_round), "rounds")
