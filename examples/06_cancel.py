"""Stopping a reply from another thread, as a Stop button does."""

import threading

import multiturn as genai

chat = genai.GenerativeModel().start_chat()
response = chat.send_message("Write a very long story.", stream=True)
threading.Timer(0.5, response.cancel).start()
try:
    for chunk in response:
        print(chunk.text, end="", flush=True)
except genai.TurnCancelled as error:
    print(f"\n[{error}]")
print(f"the history has {len(chat.history)} contents; the journal says:")
print(chat.journal[-1])
