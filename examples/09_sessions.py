"""A conversation with a name is there tomorrow, in another process, with all it ever was."""

import tempfile
from pathlib import Path

import multiturn as genai

folder = Path(tempfile.mkdtemp())
model = genai.GenerativeModel(generation_config={"max_output_tokens": 20})

with genai.SQLiteStore(folder / "chats.db") as store:
    chat = model.start_chat(session="ada/planning", store=store)
    chat.send_message("Let us plan a picnic. What do we need?")
    chat.send_message("And to drink?")
    chat.edit("And to read?")  # what was asked before stays in the tree
    chat.retry()  # so does the first answer to it
    chat.fork("ada/plan-b")

# Any other process, later:
with genai.SQLiteStore(folder / "chats.db") as store:
    chat = model.start_chat(session="ada/planning", store=store)
    for content in chat.history:
        print(f"{content.role}: {content.text}")
    print("\nall that was tried:")
    print(chat.tree)
    names = [session.name for session in store.sessions(prefix="ada/")]
    print(f"\nconversations: {', '.join(names)}; faults: {store.check()}")
