"""A conversation is a path through a tree: go back, branch off, compare."""

import multiturn as genai

model = genai.GenerativeModel(generation_config={"max_output_tokens": 30})
chat = model.start_chat()
chat.send_message("I would like to learn an instrument.")

calm, loud = chat.fork(), chat.fork()
calm.send_message("Something calm, please.")
loud.send_message("Something loud, please.")
for name, branch in (("calm", calm), ("loud", loud)):
    print(f"{name}: {branch.last.text}")

question, answer = calm.rewind()
print(f"taken back: {question.text!r}")
assert calm.history == chat.history
