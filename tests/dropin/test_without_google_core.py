"""Where google-api-core is not installed, what programs import of it is ours."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

import multiturn
from dropin.conftest import run
from gemini.wire_server import Reset, WireServer, answers, error, whole
from multiturn import GenerativeModel, google_errors
from multiturn.google_core.client_options import ClientOptions, from_dict
from multiturn.google_core.retry import AsyncRetry, Retry, if_exception_type, if_transient_error
from multiturn.google_errors import (
    DeadlineExceeded,
    GoogleAPIError,
    InternalServerError,
    NotFound,
    ResourceExhausted,
    RetryError,
    ServiceUnavailable,
)
from multiturn.testing import ScriptedBackend

# -S leaves out what is installed, whatever that is.
BARE = (sys.executable, "-S", "-W", "error")
PROGRAM = """
import google.generativeai as genai
import google.api_core.exceptions
from google.api_core import exceptions, retry, retry_async
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import ResourceExhausted, GoogleAPIError

assert google.api_core.exceptions is exceptions
assert issubclass(ResourceExhausted, exceptions.TooManyRequests)
rule = retry.Retry(predicate=retry.if_transient_error, initial=1, maximum=8, timeout=60)
genai.types.RequestOptions(retry=rule)
genai.configure(client_options=ClientOptions(api_endpoint="proxy.example", api_key="k-1"))
genai.GenerativeModel("gemini-kite", safety_settings=None)
print(rule)
"""


def test_a_program_finds_ours_by_googles_names(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    said = run(*BARE, "-m", "multiturn.dropin", "program.py", cwd=tmp_path)
    assert "Retry(initial=1, maximum=8, multiplier=2.0, timeout=60)" == said.strip()


WHAT_IS_THERE = """
import sys
from pathlib import Path
import multiturn.dropin
multiturn.dropin.install()
try:
    from google.api_core import exceptions
    import google.api_core.gapic_v1
except ModuleNotFoundError as error:
    print(exceptions.__name__, error)
try:
    import google.nobody
except ModuleNotFoundError as error:
    print(error)
late = Path("late/google/cloud")
late.mkdir(parents=True)
(late / "storage.py").write_text("here = 'late'")
sys.path.append("late")
from google.cloud import storage
print(storage.here)
multiturn.dropin.uninstall()
try:
    import google.api_core
except ModuleNotFoundError as error:
    print(error)
"""


def test_google_stays_a_namespace_and_what_is_missing_is_named(tmp_path: Path) -> None:
    core, nobody, late, gone = run(*BARE, "-c", WHAT_IS_THERE, cwd=tmp_path).splitlines()
    assert core.startswith("multiturn.google_errors no module named 'google.api_core.gapic_v1'")
    assert core.endswith("pip install google-api-core")
    assert ("No module named 'google.nobody'", "late") == (nobody, late)
    assert "No module named 'google.api_core'" == gone


def test_a_real_google_api_core_always_wins(tmp_path: Path) -> None:
    real = tmp_path / "real" / "google" / "api_core"
    real.mkdir(parents=True)
    (real / "__init__.py").touch()
    (real / "exceptions.py").write_text("real = True")
    code = (
        "import sys; sys.path.append('real')\n"
        "import multiturn.dropin as d; d.install()\n"
        "from google.api_core import exceptions; print(exceptions.real)\n"
        "try: import google.api_core.retry\n"
        "except ModuleNotFoundError as error: print(error)\n"
        "d.uninstall(); print('google.api_core.exceptions' in sys.modules)"
    )
    said = run(*BARE, "-c", code, cwd=tmp_path).splitlines()
    assert ["True", "No module named 'google.api_core.retry'", "True"] == said


# -- errors ------------------------------------------------------------------------------


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.api_core.exceptions", google_errors)


@pytest.mark.usefixtures("ours")
def test_time_limits_and_lost_connections_are_errors_of_the_family() -> None:
    with WireServer([]) as server, pytest.raises(DeadlineExceeded, match="time limit") as late:
        server.model().generate_content("Hi", request_options={"timeout": 0.1})
    assert isinstance(late.value, multiturn.TimedOut)
    assert 504 == late.value.code
    with WireServer([Reset]) as server, pytest.raises(ServiceUnavailable) as lost:
        server.model(retry=multiturn.Retry(attempts=1)).generate_content("Hi")
    again = pickle.loads(pickle.dumps(lost.value))
    assert (type(lost.value), str(lost.value)) == (type(again), str(again))


def test_an_error_has_what_programs_read_of_googles() -> None:
    details = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "KITE", "domain": "sky", "metadata": {"wind": "no"},
    }  # fmt: skip
    problem = ResourceExhausted("No.", details=[{"@type": "other"}, details])
    assert ("KITE", "sky", {"wind": "no"}) == (problem.reason, problem.domain, problem.metadata)
    assert ([], None, "429 No.") == (problem.errors, problem.response, str(problem))
    assert (None, None, None) == (
        NotFound("x").reason,
        NotFound("x").domain,
        NotFound("x").metadata,
    )


# -- retries -----------------------------------------------------------------------------

QUICK: dict[str, Any] = {"initial": 0.001, "maximum": 0.002}


def test_a_retry_in_the_options_is_honoured() -> None:
    rule = Retry(if_exception_type(ServiceUnavailable), **QUICK)
    down = whole(error(503, "UNAVAILABLE"), 503)
    with WireServer(*[down] * 6, answers()) as server:
        response = server.model().generate_content("Hi", request_options={"retry": rule})
        assert ("Hello.", 7) == (response.text, len(server.requests))
        server.script = [whole(error(500, "INTERNAL"), 500)]
        with pytest.raises(InternalServerError):
            server.model().generate_content("Hi", request_options={"retry": rule})
        assert 8 == len(server.requests)


def scripted(*lines: Any) -> GenerativeModel:
    return GenerativeModel(backend=ScriptedBackend(*lines), retry=multiturn.Retry(attempts=1))


def test_a_retry_around_a_function_calls_it_again_and_tells_of_each_error() -> None:
    seen: list[Exception] = []
    model = scripted(ServiceUnavailable("down"), ResourceExhausted("slow down"), "Hello.")

    @Retry(on_error=seen.append, **QUICK)
    def ask(text: str) -> str:
        """Ask."""
        return model.generate_content(text).text

    assert ("Hello.", "ask") == (ask("Hi"), ask.__name__)
    assert [ServiceUnavailable, ResourceExhausted] == [type(each) for each in seen]


def test_an_async_retry_around_a_function_does_the_same() -> None:
    model = scripted(ServiceUnavailable("down"), "Hello.")

    @AsyncRetry(**QUICK)
    async def ask() -> str:
        return (await model.generate_content_async("Hi")).text

    assert "Hello." == asyncio.run(ask())


def test_what_may_not_pass_is_raised_at_once() -> None:
    model = scripted(NotFound("no kite"), "Hello.")
    with pytest.raises(NotFound, match="no kite"):
        Retry(**QUICK)(model.generate_content)("Hi")
    assert not if_transient_error(NotFound("no kite"))


def test_a_retry_whose_time_is_over_says_what_was_last() -> None:
    model = scripted(ServiceUnavailable("down"), "never asked for")
    with pytest.raises(
        RetryError, match="Timeout of 0s exceeded, last exception: 503 down"
    ) as late:
        Retry(deadline=0, **QUICK)(model.generate_content)("Hi")
    assert isinstance(late.value.cause, ServiceUnavailable)
    assert late.value.cause is late.value.__cause__
    assert isinstance(pickle.loads(pickle.dumps(late.value)), GoogleAPIError)


def test_a_rule_is_changed_in_a_copy() -> None:
    rule = Retry(timeout=5)
    assert (7, 5) == (rule.with_timeout(7).deadline, rule.timeout)
    assert "initial=2, maximum=60.0" in repr(rule.with_delay(initial=2))
    assert inspect.iscoroutinefunction(AsyncRetry().with_predicate(bool)(asyncio.sleep))


def test_client_options_take_what_they_have_and_show_no_key() -> None:
    options = from_dict({"api_endpoint": "proxy.example", "api_key": "k-1"})
    assert options == ClientOptions(api_endpoint="proxy.example", api_key="k-1")
    assert "ClientOptions(api_endpoint='proxy.example', api_key=…)" == repr(options)
    with pytest.raises(ValueError, match="ClientOptions has no endpoint"):
        from_dict({"endpoint": "proxy.example"})
