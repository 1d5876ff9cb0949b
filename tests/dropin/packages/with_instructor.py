"""A typed answer through instructor."""

import sys

import google.generativeai as genai
import instructor
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


genai.configure(api_key="a-key-of-tests", client_options={"api_endpoint": sys.argv[1]})
client = instructor.from_gemini(
    client=genai.GenerativeModel("models/gemini-test"), mode=instructor.Mode.GEMINI_TOOLS
)
person = client.chat.completions.create(
    messages=[{"role": "user", "content": "Ada is 36."}], response_model=Person
)
print("typed:", person)
