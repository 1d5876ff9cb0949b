"""Four conversations at once in an event loop; they share one model in memory."""

import asyncio

import multiturn as genai

TOPICS = ["rain", "bread", "stars", "chess"]


async def talk(topic: str) -> str:
    model = genai.GenerativeModel(generation_config={"max_output_tokens": 40})
    chat = model.start_chat()
    await chat.send_message_async(f"Say a sentence about {topic}.")
    response = await chat.send_message_async("And another one.")
    return f"{topic}: {response.text}"


async def main() -> None:
    for line in await asyncio.gather(*(talk(topic) for topic in TOPICS)):
        print(line)


asyncio.run(main())
