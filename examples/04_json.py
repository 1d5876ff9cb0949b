"""An answer of a given shape: a grammar keeps the model from saying anything else."""

import json

import multiturn as genai

RECIPE = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 40},
        "minutes": {"type": "integer"},
        "ingredients": {
            "type": "array",
            "items": {"type": "string", "maxLength": 20},
            "minItems": 2,
            "maxItems": 4,
        },
    },
    "required": ["title", "minutes", "ingredients"],
}

model = genai.GenerativeModel()
response = model.generate_content(
    "A recipe for pancakes.",
    generation_config={"response_mime_type": "application/json", "response_schema": RECIPE},
)
recipe = json.loads(response.text)
print(recipe["title"], recipe["minutes"], len(recipe["ingredients"]))
