"""Packages built on the old SDK run on multiturn, unedited; the real ones nightly."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dropin.conftest import nightly, run

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "compare"))
from scripted import Script, serve_http  # noqa: E402

sys.path.remove(str(HERE / "compare"))

# What each of the real packages needs, its program, and what that must print.
REAL = {
    "llama-index-llms-gemini": (
        ("llama-index-llms-gemini==0.6.2", "llama-index-core"),
        "with_llama_index.py",
        ["chat: You are Ada.", "stream: You are Ada.", "complete: You are Ada."],
    ),
    "instructor": (
        ("instructor==1.7.2", "jsonref"), "with_instructor.py", ["typed: name='Ada' age=36"],
    ),
    "google-ai-haystack": (
        ("google-ai-haystack==5.4.0.post1",),
        "with_haystack.py",
        ["chat: You are Ada.", "generate: You are Ada."],
    ),
}  # fmt: skip
MODEL = {
    "name": "models/gemini-test", "inputTokenLimit": 9000, "outputTokenLimit": 800,
    "supportedGenerationMethods": ["generateContent"],
}  # fmt: skip


def parts(*listed: dict[str, Any]) -> dict[str, Any]:
    content = {"role": "model", "parts": list(listed)}
    return {"candidates": [{"content": content, "finishReason": "STOP"}]}


class Service(Script):
    """Answers as a model that knows whom it talks to, and calls what it is offered."""

    def answer(self, verb: str, place: str, body: Any) -> Any:
        self.asked.append({"verb": verb, "place": place, "body": body})
        if verb == "GET":
            return MODEL
        if '"Person"' in json.dumps(body):
            call = {"name": "Person", "args": {"name": "Ada", "age": 36}}
            return parts({"functionCall": call})
        whole = parts({"text": "You are Ada."})
        return [whole] if place.endswith(":streamGenerateContent") else whole


@pytest.fixture
def service() -> tuple[Service, str]:
    service = Service()
    return service, serve_http(service)


PACKAGE = """
import google.generativeai as genai
from google.ai.generativelanguage import Content, Part
from google.generativeai.types import GenerateContentResponse, HarmCategory
from google.generativeai.types.content_types import FunctionDeclaration, to_content


class Talker:
    def __init__(self, address):
        genai.configure(api_key="a-key-of-tests", client_options={"api_endpoint": address})
        self.chat = genai.GenerativeModel("models/gemini-test").start_chat(
            history=[Content(role="user", parts=[Part(text="My name is Ada.")]),
                     Content(role="model", parts=[Part(text="Hello Ada.")])])

    def ask(self, text):
        response = self.chat.send_message(text)
        assert isinstance(response, GenerateContentResponse)
        return response.text
"""
PROGRAM = """
import sys
from talker import Talker

talker = Talker(sys.argv[1])
print(talker.ask("Who am I?"), len(talker.chat.history), __name__, sys.argv[2:])
"""


@pytest.mark.parametrize("how", ["program", "module"])
def test_a_package_built_on_the_old_sdk_runs_unedited(
    how: str, service: tuple[Service, str], tmp_path: Path
) -> None:
    scripted, address = service
    (tmp_path / "talker.py").write_text(PACKAGE)
    (tmp_path / "program.py").write_text(PROGRAM)
    what = ["program.py"] if how == "program" else ["-m", "program"]
    said = run(
        sys.executable, "-m", "multiturn.dropin", *what, address, "--flag", "x", cwd=tmp_path
    )
    assert "You are Ada. 4 __main__ ['--flag', 'x']" == said.strip()
    assert ["My name is Ada.", "Hello Ada.", "Who am I?"] == [
        content["parts"][0]["text"] for content in scripted.asked[0]["body"]["contents"]
    ]


ALIASES = """
import multiturn.dropin
multiturn.dropin.install()
multiturn.dropin.install()
import google.generativeai as genai
import google.generativeai.types.generation_types as generation_types
from google.generativeai import caching, protos, types
from google.generativeai.generative_models import ChatSession
import google.generativeai.client, google.generativeai.version
import google.ai.generativelanguage as glm
from google.ai.generativelanguage_v1beta.types.content import Part
import multiturn, multiturn.types.generation_types

assert genai.__version__ == google.generativeai.version.__version__ == "0.8.6"
assert genai.GenerativeModel is multiturn.GenerativeModel
assert ChatSession is multiturn.ChatSession and types is multiturn.types is genai.types
assert generation_types is multiturn.types.generation_types
assert glm.Part is protos.Part is Part is multiturn.protos.Part
assert multiturn.types.__spec__.name == "multiturn.types"
assert {"GenerativeModel", "types", "configure"} <= set(dir(genai))
for name in ("retriever", "types.permission_types", "nothing"):
    try:
        __import__(f"google.generativeai.{name}")
    except ModuleNotFoundError as error:
        print(error)
try:
    glm.GenerativeServiceClient
except AttributeError as error:
    print(error)
multiturn.dropin.uninstall()
import sys
assert not [name for name in sys.modules if name.startswith("google.generativeai")]
"""


def test_every_module_of_the_old_sdk_is_ours_or_says_why_it_is_not(tmp_path: Path) -> None:
    lines = run(sys.executable, "-c", ALIASES, cwd=tmp_path).splitlines()
    assert 4 == len(lines)
    assert "semantic retriever" in lines[0]
    assert "permissions" in lines[1]
    assert "does not have it" in lines[2]
    assert "install(messages=False)" in lines[3]


def test_only_what_was_put_there_is_taken_away(tmp_path: Path) -> None:
    for name in ("", "_v1beta", "_v1alpha"):
        package = tmp_path / "real" / "google" / "ai" / f"generativelanguage{name}"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
    code = (
        "import sys; sys.path.append('real')\n"
        "import multiturn.dropin as d; d.install(messages={})\n"
        "import google.ai.generativelanguage, google.ai.generativelanguage_v1beta\n"
        "import google.ai.generativelanguage_v1alpha, google.generativeai.types\n"
        "d.uninstall(); print(*sorted(n[10:] for n in sys.modules if n.startswith('google.')))"
    )
    left = [run(sys.executable, "-c", code.format(m), cwd=tmp_path).split() for m in (True, False)]
    real = ["generativelanguage", "generativelanguage_v1alpha", "generativelanguage_v1beta"]
    assert [[real[1]], real] == left


def test_what_is_looked_for_is_not_imported_yet(tmp_path: Path) -> None:
    # The import system holds its lock meanwhile: other threads could wait for each other.
    code = (
        "import sys, multiturn.dropin as d; d.install()\n"
        "import google.generativeai, google.api_core\n"
        "sys.modules['google.api_core'].__loader__ = d._Loader(None)\n"
        "names = [f'google.generativeai.{n}' for n in (*d._SUBMODULES, 'retriever', 'types.no')]\n"
        "names += [f'google.api_core.{n}' for n in (*d._CORE_MODULES, 'no')]\n"
        "before = set(sys.modules)\n"
        "for name in names:\n"
        "    for finder in (sys.meta_path[0], sys.meta_path[-1]):\n"
        "        try: finder.find_spec(name)\n"
        "        except ModuleNotFoundError: pass\n"
        "print(*set(sys.modules) - before, 'multiturn.types' in before)"
    )
    assert "False" == run(sys.executable, "-c", code, cwd=tmp_path).strip()


LATE = """
import sys, types
sys.modules["google.generativeai"] = types.ModuleType("google.generativeai")
import multiturn.dropin
try:
    multiturn.dropin.install()
except ValueError as error:
    print(error)
"""


def test_an_old_sdk_that_is_loaded_already_is_not_replaced(tmp_path: Path) -> None:
    said = run(sys.executable, "-c", LATE, cwd=tmp_path)
    assert said.startswith("google.generativeai is loaded already; call multiturn.dropin.install()")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to run"),
        (["-m"], "-m wants the name of a module"),
        (["-m", "nobody"], "no module named 'nobody' on this Python's path"),
        (["-m", "nobody.at.all"], "no module named 'nobody.at.all'"),
        (["-m", "json.nobody"], "no module named 'json.nobody' on this Python's path"),
        (["nobody.py"], "nobody.py: no such file"),
        (["."], ".: a directory without __main__.py"),
        (["-c", "print(1)"], "no option is named '-c'"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_line(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "multiturn.dropin", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    first, usage = done.stderr.splitlines()
    assert first.startswith(said)
    assert usage.startswith("usage: python -m multiturn.dropin ")
    assert (2, "") == (done.returncode, done.stdout)


def test_a_package_that_lacks_something_says_so_itself(tmp_path: Path) -> None:
    package = tmp_path / "lacking"
    package.mkdir()
    (package / "__init__.py").write_text("import nobody_has_this\n")
    (package / "__main__.py").touch()
    command = [sys.executable, "-m", "multiturn.dropin", "-m", "lacking.__main__"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError: No module named 'nobody_has_this'" in done.stderr


def test_a_package_is_found_with_multiturn_in_the_place_of_the_old_sdk(tmp_path: Path) -> None:
    package = tmp_path / "built_on_it"
    package.mkdir()
    (package / "__init__.py").write_text("import google.generativeai as genai\n")
    (package / "tool.py").write_text("from built_on_it import genai\nprint(genai.__file__)\n")
    said = run(sys.executable, "-m", "multiturn.dropin", "-m", "built_on_it.tool", cwd=tmp_path)
    assert "multiturn" in said


@nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("package", REAL)
def test_a_real_package_talks_through_multiturn(
    package: str,
    interpreter: Callable[..., Path],
    service: tuple[Service, str],
    tmp_path: Path,
) -> None:
    needs, program, expected = REAL[package]
    python = interpreter(*needs)
    program_path = str(HERE / "packages" / program)
    said = run(python, "-W", "ignore", "-m", "multiturn.dropin", program_path, service[1],
               cwd=tmp_path)  # fmt: skip
    assert expected == said.strip().splitlines()
