"""A model with an instruction and settings of its own; a message may override them."""

import multiturn as genai

model = genai.GenerativeModel(
    system_instruction="Answer in one short sentence.",
    generation_config=genai.GenerationConfig(max_output_tokens=40, stop_sequences=["\n"]),
)
chat = model.start_chat(
    history=[
        {"role": "user", "parts": ["My cat is called Miso."]},
        {"role": "model", "parts": ["That is a lovely name."]},
    ]
)
print(chat.send_message("What do cats like?").text)
varied = {"temperature": 0.9, "seed": 7}
print(chat.send_message("And dogs?", generation_config=varied).text)
print(f"the next request would have {model.count_tokens(chat.history).total_tokens} tokens")
