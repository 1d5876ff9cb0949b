"""The shape of the package: arrows point down, pure files are pure, everything is small."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import multiturn

PACKAGE = Path(multiturn.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
every_file = pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))

# From the bottom to the top: each may import, when it is loaded, only what stands before it.
LAYERS = (
    "errors checks messages messages.enums messages.message messages.items messages.fields",
    "cancel retry",
    "messages.content messages.well_known messages.candidate messages.settings",
    "messages.tool_messages generation_config",
    "config safety options calls text_of inline to_content",
    "history request reply turn backends drive",
    "exchange response async_response journal gate open_turn model chat",
    "multiturn",
)
ORDER = [name for layer in LAYERS for name in layer.split()]

# What must not know of network, disk, threads, clocks or event loops.  ``inline`` reads
# the pictures that it is handed; ``history`` has a lock, since its branches are shared.
PURE = [
    *(name for layer in LAYERS[:5] for name in layer.split() if name not in ("cancel", "inline")),
    *("request", "reply", "turn", "response", "async_response"),
]
IMPURE = {
    "asyncio", "concurrent", "ctypes", "http", "io", "multiprocessing", "os",
    "pathlib", "queue", "sched", "select", "selectors", "shutil", "signal", "socket",
    "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "urllib",
}  # fmt: skip
# One tree, read as one.
LONG = {"errors": 500}

HEAVY = {
    "asyncio", "subprocess", "ssl", "socket", "sqlite3", "xllamacpp", "rich", "prompt_toolkit",
    "httpx", "requests", "urllib3", "numpy", "huggingface_hub", "platformdirs", "google",
}  # fmt: skip


BANNED = {
    "utils", "util", "manager", "base", "helpers", "helper", "common", "misc", "data", "info",
}  # fmt: skip


def name_of(path: Path) -> str:
    """Return a file's module name, ``multiturn`` left out but for the package itself."""
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts) or "multiturn"


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _statements(body: list[ast.stmt], deep: bool) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test):
            yield from _statements(statement.orelse, deep)
            continue
        yield statement
        is_scope = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
        if deep or not is_scope:
            for field in ("body", "orelse", "finalbody", "handlers"):
                inner = getattr(statement, field, [])
                if inner and isinstance(inner, list) and isinstance(inner[0], ast.stmt):
                    yield from _statements(inner, deep)
                for handler in inner if field == "handlers" else ():
                    yield from _statements(handler.body, deep)


def imports_of(path: Path, *, deep: bool = False) -> set[str]:
    """Return the modules that a file imports when it is loaded; with ``deep``, ever."""
    found: set[str] = set()
    for statement in _statements(tree_of(path).body, deep):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            module = statement.module or ""
            for alias in statement.names:
                inner = f"{module}.{alias.name}"
                is_module = inner.removeprefix("multiturn.") in MODULES and "multiturn" in module
                found.add(inner if is_module else module)
    return found


MODULES = {name_of(path): path for path in FILES}


def own_imports(path: Path) -> set[str]:
    return {
        module.removeprefix("multiturn.") for module in imports_of(path) if "multiturn" in module
    }


@pytest.mark.parametrize("name", ORDER)
def test_arrows_point_down(name: str) -> None:
    below = {*ORDER[: ORDER.index(name)]}
    assert set() == own_imports(MODULES[name]) - below


def test_no_module_imports_itself_around_a_corner() -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join((*path[path.index(name) :], name))
        if name not in done:
            for other in sorted(own_imports(MODULES[name]) & MODULES.keys()):
                if other not in ("multiturn", name):
                    visit(other, (*path, name))
            done.add(name)

    for name in MODULES:
        visit(name, ())


@pytest.mark.parametrize("name", [n for n in ORDER if n != "multiturn"])
def test_the_core_loads_no_face_engine_wire_or_store(name: str) -> None:
    others = ("cli", "engine", "http", "stores", "weights", "types", "testing", "backends.")
    assert [] == [m for m in own_imports(MODULES[name]) if m.startswith(others)]


@every_file
def test_only_the_command_line_knows_the_command_line(path: Path) -> None:
    if not name_of(path).startswith(("cli", "__main__")):
        assert [] == [m for m in imports_of(path, deep=True) if m.startswith("multiturn.cli")]


@pytest.mark.parametrize("name", PURE)
def test_pure_files_are_pure(name: str) -> None:
    found = {module.partition(".")[0] for module in imports_of(MODULES[name], deep=True)}
    assert set() == found & IMPURE


# -- size and names -----------------------------------------------------------------------


@every_file
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONG.get(name_of(path), 400)


def _body_lines(function: Any) -> int:
    """Count a function's lines without its signature and docstring."""
    first = function.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    body = function.body[1:] if is_docstring else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


@every_file
def test_functions_are_short(path: Path) -> None:
    functions = [
        node
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [] == [(f.name, _body_lines(f)) for f in functions if _body_lines(f) > 50]


@every_file
def test_names_say_what_a_thing_is(path: Path) -> None:
    assert path.stem not in BANNED
    assert path.parent.name not in BANNED


# -- documentation ------------------------------------------------------------------------


@every_file
def test_every_module_says_what_it_is(path: Path) -> None:
    assert path.name == "__main__.py" or (ast.get_docstring(tree_of(path)) or "").strip()


@pytest.mark.parametrize("name", [*ORDER, "testing"])
def test_every_public_name_of_the_core_is_documented(name: str) -> None:
    path, missing = MODULES[name], []

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if node.name.startswith("_") or _is_overload(node):
                continue
            inner = f"{prefix}{node.name}"
            if not ast.get_docstring(node) and not _is_inherited(inner, path):
                missing.append(inner)
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{inner}.")

    visit(tree_of(path).body, "")
    assert [] == missing


def _is_overload(node: Any) -> bool:
    """Whether a definition belongs to another one of the same name, which is documented."""
    return any("overload" in ast.dump(d) or "'setter'" in ast.dump(d) for d in node.decorator_list)


def _is_inherited(name: str, path: Path) -> bool:
    """Whether a member overrides one that is documented above it, or one of Python's own."""
    class_name, _, member = name.rpartition(".")
    if not class_name:
        return False
    owner: Any = importlib.import_module(f"multiturn.{name_of(path)}")
    for part in class_name.split("."):
        owner = getattr(owner, part)
    parents = [parent for parent in owner.__mro__[1:] if member in vars(parent)]
    return any(inspect.getdoc(vars(parent)[member]) for parent in parents)


# -- what is visible ----------------------------------------------------------------------


def test_all_that_is_visible_is_exported_and_all_that_is_exported_is_there() -> None:
    script = (
        "import multiturn, types\n"
        "names = {n for n in dir(multiturn) if not n.startswith('_')}\n"
        "names -= {n for n in names - {*multiturn.__all__}"
        " if isinstance(vars(multiturn).get(n), types.ModuleType)}\n"
        "names -= {'annotations', 'TYPE_CHECKING'}\n"
        "print(*sorted(names ^ ({*multiturn.__all__} - {'__version__'})))\n"
        "for name in multiturn.__all__: getattr(multiturn, name)\n"
        "exec('from multiturn import *')\n"
    )
    assert "" == fresh(script).strip()
    assert len({*multiturn.__all__}) == len(multiturn.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError):
        _ = multiturn.no_such_name


@pytest.mark.parametrize("name", ["protos", "types"])
def test_the_namespaces_of_the_old_sdk_export_what_they_have(name: str) -> None:
    namespace = getattr(multiturn, name)
    for exported in namespace.__all__:
        assert getattr(namespace, exported) is not None
    assert len({*namespace.__all__}) == len(namespace.__all__)


# -- the import is light ------------------------------------------------------------------


def fresh(script: str) -> str:
    """Run a script in a fresh interpreter and return what it printed."""
    return subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout


def loaded_by(script: str) -> set[str]:
    """Return the modules that a script loads beyond what Python itself does."""
    show = "\nimport sys; print(*sys.modules)"
    return {*fresh(script + show).split()} - {*fresh("pass" + show).split()}


def test_the_import_is_light() -> None:
    loaded = loaded_by("import multiturn")
    assert set() == {name.partition(".")[0] for name in loaded} & HEAVY
    assert len(loaded) < 60


def test_a_blocking_conversation_loads_no_event_loop() -> None:
    script = """
import multiturn
class Echo:
    name = "echo"
    def stream(self, request, cancel):
        text = request.contents[-1].text
        yield {"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]}
chat = multiturn.GenerativeModel(backend=Echo()).start_chat()
assert chat.send_message("Hi").text == "Hi"
assert "".join(c.text for c in chat.send_message("Hi", stream=True)) == "Hi"
chat.rewind(); chat.fork(); repr(chat)
"""
    assert set() == {name.partition(".")[0] for name in loaded_by(script)} & HEAVY
