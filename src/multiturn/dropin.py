"""Makes ``import google.generativeai`` mean multiturn, for programs that cannot be edited.

    python -m multiturn.dropin program.py arguments…
    python -m multiturn.dropin -m module arguments…

or, before anything imports the old SDK:

    import multiturn.dropin
    multiturn.dropin.install()

It holds for this process only, also if the old SDK is installed.  What such programs
import of google-api-core is ours too, but only where that is not installed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from multiturn.errors import UsageError
from multiturn.retired import reason

_OLD = "google.generativeai"
# What stands for the old SDK's submodules.
_SUBMODULES = {
    "caching": "multiturn.caching",
    "client": "multiturn.client",
    "embedding": "multiturn.embedding",
    "files": "multiturn.files",
    "generative_models": "multiturn.generative_models",
    "models": "multiturn.models",
    "protos": "multiturn.protos",
    "types": "multiturn.types",
}
# The messages of the old SDK's generated client, from where some programs import them.
_MESSAGES = ("google.ai.generativelanguage", "google.ai.generativelanguage_v1beta")
# What stands for google-api-core, which came with the old SDK.
_CORE = "google.api_core"
_CORE_MODULES = {
    "client_options": "multiturn.google_core.client_options",
    "exceptions": "multiturn.google_errors",
    "retry": "multiturn.google_core.retry",
    "retry_async": "multiturn.google_core.retry",
}
_VERSION = "0.8.6"
_USAGE = "usage: python -m multiturn.dropin (program.py | -m module) [argument …]"


def install(*, messages: bool = True) -> None:
    """Make ``import google.generativeai`` and its submodules mean multiturn; once is enough.

    Args:
        messages: Let ``google.ai.generativelanguage`` mean ``multiturn.protos`` too.
            False leaves it alone, for programs that use that package's own clients
            besides.

    Raises:
        UsageError: The old SDK is loaded already: others hold on to its classes.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    for name in (_OLD, *(_MESSAGES if messages else ())):
        if name in sys.modules:
            raise UsageError(
                f"{name} is loaded already; call multiturn.dropin.install() before anything "
                "imports it, or run the program with python -m multiturn.dropin"
            )
    sys.meta_path.insert(0, _Finder(messages))
    sys.meta_path.append(_LastFinder())


def uninstall() -> None:
    """Let later imports of ``google.generativeai`` mean what they meant before."""
    ours = (_Finder, _LastFinder)
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, ours)]
    for root in (_OLD, *_MESSAGES, _CORE):
        if not isinstance(getattr(sys.modules.get(root), "__loader__", None), _Loader):
            continue  # not there, or not ours
        for name in [name for name in sys.modules if f"{name}.".startswith(f"{root}.")]:
            del sys.modules[name]
        above, _, inner = root.rpartition(".")
        if above in sys.modules:
            vars(sys.modules[above]).pop(inner, None)


class _LastFinder:
    """Finds what nobody else has: google-api-core, and the packages around all of it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name in ("google", "google.ai"):
            return _namespace(name)
        if name == _CORE:
            return ModuleSpec(name, _Loader(lambda module: module), is_package=True)
        above, _, inner = name.rpartition(".")
        if above != _CORE or not isinstance(sys.modules[_CORE].__loader__, _Loader):
            return None
        if inner not in _CORE_MODULES:
            raise ModuleNotFoundError(
                f"no module named {name!r}: google-api-core is not installed, and of it multiturn "
                f"stands for {', '.join(_CORE_MODULES)} only; pip install google-api-core",
                name=name,
            )
        return ModuleSpec(name, _Loader(lambda _: import_module(_CORE_MODULES[inner])))


class _Finder:
    """Finds the old SDK's modules before anybody else does."""

    def __init__(self, messages: bool) -> None:
        self._messages = _MESSAGES if messages else ()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == _OLD:
            return ModuleSpec(name, _Loader(_facade), is_package=True)
        if name in self._messages or name.startswith(tuple(f"{n}.types" for n in self._messages)):
            return ModuleSpec(name, _Loader(_messages), is_package=True)
        if not name.startswith(f"{_OLD}."):
            return None
        inner = name.removeprefix(f"{_OLD}.")
        first, _, rest = inner.partition(".")
        if first == "version":
            return ModuleSpec(name, _Loader(_version))
        if first not in _SUBMODULES:
            raise _absent(name, first)
        return ModuleSpec(name, _Loader(partial(_ours, ".".join((_SUBMODULES[first], rest)))))


def _ours(path: str, module: ModuleType) -> ModuleType:
    """Return the module of ours that stands for one of the old SDK's."""
    path = path.rstrip(".")
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
        raise _absent(module.__name__, path.rpartition(".")[2]) from None


class _Loader(Loader):
    """Puts a module that exists in the place of the one that is being imported.

    It imports that one; a finder must not, since it is asked under a lock for which whoever
    is importing the same in another thread may wait.
    """

    def __init__(self, make: Any) -> None:
        self._make = make

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to the import system, which forgets it again."""

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = self._make(module)


def _namespace(name: str) -> ModuleSpec:
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = _Portions(name)
    return spec


class _Portions(list[str]):
    """The folders of a namespace that was found empty: those of ``sys.path`` as it is now."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._below = name.replace(".", "/")

    def __iter__(self) -> Iterator[str]:
        return (f"{folder or '.'}/{self._below}" for folder in list(sys.path))


def _absent(module: str, name: str) -> ModuleNotFoundError:
    because = reason(name) or f"multiturn, which stands for {_OLD}, does not have it"
    return ModuleNotFoundError(f"no module named {module!r}: {because}", name=module)


def _facade(module: ModuleType) -> ModuleType:
    """Fill the old SDK's package: the names of multiturn, and the old version."""
    import multiturn

    def find(name: str) -> Any:
        if name in _SUBMODULES or name == "version":
            return import_module(f"{_OLD}.{name}")
        return getattr(multiturn, name)

    vars(module).update(
        __doc__=multiturn.__doc__,
        __version__=_VERSION,
        __all__=[name for name in multiturn.__all__ if name != "__version__"],
        __getattr__=find,
        __dir__=lambda: sorted({*vars(module), *_SUBMODULES, *multiturn.__all__}),
    )
    return module


def _version(module: ModuleType) -> ModuleType:
    vars(module).update(__version__=_VERSION)
    return module


def _messages(module: ModuleType) -> ModuleType:
    """Fill a package of the generated client: our messages, without its clients."""
    from multiturn import protos

    def find(name: str) -> Any:
        if name.endswith("Client"):
            raise AttributeError(
                f"module {module.__name__!r} has no attribute {name!r}: multiturn stands for it; "
                "multiturn.dropin.install(messages=False) leaves it and its clients alone"
            )
        if name == "types" and module.__name__ in _MESSAGES:
            return import_module(f"{module.__name__}.types")
        return getattr(protos, name)

    vars(module).update(__getattr__=find, __all__=list(protos.__all__))
    return module


def main(arguments: Sequence[str]) -> None:
    """Run a program with multiturn in the place of the old SDK; exit with 2 if there is none."""
    import runpy

    first = arguments[0] if arguments else ""
    if first in ("-h", "--help"):
        print(_USAGE)
        return
    install()  # before the packages around a module are imported to find it
    problem = _problem(arguments)
    if problem:
        print(f"{problem}\n{_USAGE}", file=sys.stderr)
        sys.exit(2)
    if first == "-m":
        sys.argv = list(arguments[1:])
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return
    sys.argv = list(arguments)
    runpy.run_path(first, run_name="__main__")


def _problem(arguments: Sequence[str]) -> str:
    """Return why there is nothing to run, "" if there is; finds modules as Python would."""
    from importlib.util import find_spec
    from pathlib import Path

    first = arguments[0] if arguments else ""
    if first == "-m":
        if len(arguments) < 2:
            return "-m wants the name of a module"
        sys.path.insert(0, str(Path.cwd()))
        try:
            found = find_spec(arguments[1])
        except ModuleNotFoundError as error:
            if not f"{arguments[1]}.".startswith(f"{error.name}."):
                raise  # the package around it is there, and lacks something
            return f"no module named {arguments[1]!r} ({error})"
        return "" if found else f"no module named {arguments[1]!r} on this Python's path"
    if not first:
        return "nothing to run"
    if first.startswith("-"):
        return f"no option is named {first!r}; options of the program stand behind it"
    if not Path(first).exists():
        return f"{first}: no such file"
    if Path(first).is_dir() and not (Path(first) / "__main__.py").exists():
        return f"{first}: a directory without __main__.py"
    sys.path.insert(0, str(Path(first).resolve().parent))
    return ""


if __name__ == "__main__":
    # By its own name: as __main__, its finder would not be the one that others install.
    from multiturn.dropin import main as run

    run(sys.argv[1:])
