"""What all tests of the core share: the two ways of use, and how hard to try."""

from __future__ import annotations

import gc
import inspect
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from ways import WAYS, Way

# Test processes run side by side, and threads that spin while they wait for each other
# take the cores from one another: three engines on two cores are up to 9 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

EFFORT = os.environ.get("MULTITURN_TEST_EFFORT", "quick")

# By day the same examples each time, so that a failure is of the change that brought it;
# by night new ones.
settings.register_profile(
    "quick",
    derandomize=True,
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile(
    "nightly",
    settings.get_profile("quick"),
    derandomize=False,
    max_examples=2000,
    stateful_step_count=50,
)
settings.load_profile("nightly" if EFFORT == "nightly" else "quick")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give the long runs of the night their time."""
    if EFFORT == "nightly" and config.option.timeout is None:
        config.option.timeout = 3600


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape halves of characters that a test has logged: reports are sent in UTF-8."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode())
        for title, text in report.sections
    ]
    return report


def pytest_collection_finish() -> None:
    """Keep the collector away from the thousands of tests, which would be most of its work."""
    gc.collect()
    gc.freeze()


@pytest.fixture(params=[*WAYS])
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    """One of the two ways of using a conversation."""
    way = WAYS[request.param]()
    yield way
    way.close()


@pytest.fixture(scope="session")
def weights_path() -> Path:
    """The default model's weights, fetched if they are not on this machine."""
    from multiturn import weights

    return weights.locate()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object:
    """Run a scenario, that is, an async test that asks for ``way``, in that way."""
    if "way" not in pyfuncitem.funcargs or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    way: Way = pyfuncitem.funcargs["way"]
    way.run(pyfuncitem.obj(**arguments))
    return True
