"""From a model's name to whoever is asked."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import multiturn as genai
from gemini.wire_server import WireServer, whole
from multiturn.backends.openai.providers import PROVIDERS
from multiturn.backends.registry import backend_for
from multiturn.errors import MissingKey, UnknownName, UsageError

PACKAGE = Path(__file__).parents[2] / "examples" / "backend_package"


@pytest.mark.parametrize(
    ("name", "backend", "model", "address"),
    [
        ("openai/gpt-5", "openai", "gpt-5", "https://api.openai.com/v1"),
        ("openrouter/a/b:free", "openrouter", "a/b:free", "https://openrouter.ai/api/v1"),
        ("ollama/qwen3", "ollama", "qwen3", "http://localhost:11434/v1"),
        ("vllm/m", "vllm", "m", "http://localhost:8000/v1"),
    ],
)
def test_a_provider_s_name_leads_to_its_address(
    name: str, backend: str, model: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(f"{backend.upper()}_BASE_URL", raising=False)
    found, asked = backend_for(name)
    assert isinstance(found, genai.OpenAIBackend)
    assert (backend, model, address) == (found.name, asked, found.base_url)
    assert found is backend_for(name)[0]


def test_the_environment_may_say_where_a_provider_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_BASE_URL", "http://gpu-host:8000/v1/")
    found, _ = backend_for("vllm/m")
    assert isinstance(found, genai.OpenAIBackend)
    assert "http://gpu-host:8000/v1" == found.base_url


@pytest.mark.parametrize(
    ("name", "backend", "model"),
    [
        ("gemini-2.5-flash", "gemini", "models/gemini-2.5-flash"),
        ("models/gemini-2.5-flash", "gemini", "models/gemini-2.5-flash"),
        ("gemini/gemini-2.5-flash", "gemini", "models/gemini-2.5-flash"),
        ("smollm2", "embedded", "smollm2"),
        ("embedded/smollm2", "embedded", "smollm2"),
        ("some/where/weights.gguf", "embedded", "some/where/weights.gguf"),
        ("hf:owner/repo", "embedded", "hf:owner/repo"),
    ],
)
def test_other_names_lead_where_they_led(name: str, backend: str, model: str) -> None:
    found, asked = backend_for(name)
    assert (backend, model) == (found.name, asked)


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("opnai/gpt-5", "'openai/gpt-5'"),
        ("olama/qwen3", "'ollama/qwen3'"),
        ("gpt-5", "'openai/gpt-5'"),
        ("claude-sonnet-4", "'openrouter/anthropic/claude-sonnet-4'"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(name: str, suggested: str) -> None:
    with pytest.raises(UnknownName) as caught:
        backend_for(name)
    assert f"did you mean {suggested}?" in str(caught.value)


def test_a_name_that_resembles_nothing_lists_what_there_is() -> None:
    with pytest.raises(UnknownName, match=r"known: .*openai"):
        backend_for("zzzzzzzz/model")


def test_a_missing_key_is_named_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(MissingKey, match="OPENAI_API_KEY"):
        genai.GenerativeModel("openai/gpt-5").generate_content("Hi")


def test_a_backend_wants_a_web_address() -> None:
    for wrong in ("gpu-host:8000", "ftp://a", "", None, "http://user:password@host/v1"):
        with pytest.raises(UsageError) as caught:
            genai.OpenAIBackend(wrong)  # type: ignore[arg-type]
        assert "password" not in str(caught.value)


def test_a_backend_of_another_package_is_found_by_its_entry_point(tmp_path: Path) -> None:
    home = tmp_path / "environment"
    venv.create(home, system_site_packages=False, with_pip=False)
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    # This environment's packages, multiturn among them, are seen from the new one.
    site = next(home.glob("lib/python*/site-packages"), home / "Lib" / "site-packages")
    outer = [place for place in sys.path if "site-packages" in place or place.endswith("src")]
    (site / "outer.pth").write_text("\n".join(outer))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
         "--no-build-isolation", "--target", str(site), str(PACKAGE)],
        check=True, capture_output=True,
    )  # fmt: skip
    done = subprocess.run(
        [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(PACKAGE),
         str(PACKAGE / "tests")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout + done.stderr
    assert done.stdout.startswith("...")


def test_the_example_of_a_backend_has_less_than_sixty_lines() -> None:
    source = PACKAGE / "src" / "multiturn_echo" / "__init__.py"
    assert len(source.read_text().splitlines()) < 60


def test_the_models_of_everything_that_is_set_up_are_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI"):
        monkeypatch.delenv(name, raising=False)
    for provider in PROVIDERS:
        monkeypatch.delenv(f"{provider.upper()}_API_KEY", raising=False)
        monkeypatch.delenv(f"{provider.upper()}_BASE_URL", raising=False)
    listed = {"object": "list", "data": [{"id": "qwen3"}, {"id": "a/b"}]}
    with WireServer(whole(listed)) as server:
        monkeypatch.setenv("VLLM_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("SGLANG_BASE_URL", "http://127.0.0.1:9/v1")
        with pytest.warns(UserWarning, match="sglang could not be asked"):
            names = [model.name for model in genai.list_models(everywhere=True)]
        assert ["smollm2", "vllm/qwen3", "vllm/a/b"] == names
        assert "/v1/models" == server.requests[0].target
        assert "a/b" == genai.GenerativeModel(names[-1]).model_name
