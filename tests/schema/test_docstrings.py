"""What a docstring says, in each of the three styles, and that none can break a registration."""

from __future__ import annotations

import subprocess
import sys
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.schema import function_schema
from multiturn.schema.docstrings import Docstring, parse_docstring

GOOGLE = """Weather now.

    More about it
    in two lines.

    Args:
        city: Name of the city,
            with its country.
        unit (str, optional): C or F.

    Returns:
        dict: What was measured.
    """
NUMPY = """Weather now.

    More about it
    in two lines.

    Parameters
    ----------
    city : str
        Name of the city,
        with its country.
    unit : {'C', 'F'}, optional
        C or F.

    Returns
    -------
    dict
        What was measured.
    """
SPHINX = """Weather now.

    More about it
    in two lines.

    :param city: Name of the city,
        with its country.
    :param str unit: C or F.
    :returns: What was measured.
    """


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_each_style_describes_function_and_parameters(text: str) -> None:
    expected = Docstring(
        "Weather now.\n\nMore about it\nin two lines.",
        {"city": "Name of the city,\nwith its country.", "unit": "C or F."},
    )

    assert expected == parse_docstring(text)


def test_one_description_may_be_of_several_parameters() -> None:
    text = "Add.\n\nParameters\n----------\na, b : int\n    The summands.\n"

    assert {"a": "The summands.", "b": "The summands."} == parse_docstring(text).parameters


@pytest.mark.parametrize(
    "text",
    ["", "One line.", "Args:", "Looks up:\n\n  - first: thing\n  - second", "a: b\nc: d", ":param"],
)
def test_a_docstring_without_sections_is_a_description(text: str) -> None:
    assert {} == parse_docstring(text).parameters


@given(st.text("Args: \n-xy:param", max_size=60))
def test_no_docstring_breaks_a_registration(text: str) -> None:
    def tool(x: int) -> None: ...

    tool.__doc__ = text

    assert "tool" == function_schema(tool).name


def test_a_description_in_the_annotation_is_kept_beside_that_of_the_type() -> None:
    class Trip(TypedDict):
        """A journey.

        Attributes:
            start: Where it begins.
        """

        start: str

    def book(trip: Trip) -> None: ...

    schema = function_schema(book, namespace={"Trip": Trip}).parameters["properties"]["trip"]

    assert "A journey." == schema["description"]
    assert "Where it begins." == schema["properties"]["start"]["description"]


def test_the_parser_is_loaded_only_for_docstrings_with_more_than_one_line() -> None:
    program = (
        "import sys; from multiturn.schema import function_schema\n"
        "def f(x: int):\n    'Short.'\n"
        "function_schema(f); assert 'docstring_parser' not in sys.modules\n"
        "assert 'pydantic' not in sys.modules and 'attr' not in sys.modules\n"
        "f.__doc__ = 'Short.\\n\\nArgs:\\n    x: y'\n"
        "function_schema(f, namespace={'a': 1}); assert 'docstring_parser' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_importing_the_package_does_not_load_this_one() -> None:
    program = "import sys, multiturn; assert 'multiturn.schema' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
