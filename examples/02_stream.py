"""The reply piece by piece, as it is made."""

import multiturn as genai

chat = genai.GenerativeModel().start_chat()
response = chat.send_message("Tell me something about whales.", stream=True)
for chunk in response:
    print(chunk.text, end="", flush=True)
print()
print(f"{response.usage_metadata.candidates_token_count} tokens")
