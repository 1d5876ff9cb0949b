"""A conversation with the model that comes along: no key, no server."""

import multiturn as genai

chat = genai.GenerativeModel().start_chat()
print(chat.send_message("Hello! Who are you?").text)
print(chat.send_message("What did I just ask you?").text)
print(f"{len(chat.history)} contents, {len(chat.turns)} turns")
