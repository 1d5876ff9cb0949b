"""What a docstring says, in each of the three styles, and that none can break a registration."""

from __future__ import annotations

import functools
import inspect
import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.schema import Injected, function_schema
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


@pytest.mark.parametrize(
    ("text", "returns"),
    [
        (GOOGLE, "Returns:\n    dict: What was measured."),
        (NUMPY, "Returns\n-------\ndict\n    What was measured."),
        (SPHINX, ":returns: What was measured."),
    ],
    ids=["google", "numpy", "sphinx"],
)
def test_each_style_describes_function_and_parameters(text: str, returns: str) -> None:
    expected = Docstring(
        f"Weather now.\n\nMore about it\nin two lines.\n\n{returns}",
        {"city": "Name of the city,\nwith its country.", "unit": "C or F."},
    )

    assert expected == parse_docstring(inspect.cleandoc(text))


def test_all_that_does_not_describe_a_parameter_is_told_of_the_function() -> None:
    def find(q: str, limit: int = 10) -> list[str]:
        """Find documents.

        Example:
            find("cats", limit=3)

        Args:
            q: The query. Operators:
                - AND: both

                A second paragraph.
            limit (int): How many.
            wher: typed wrongly

        Only after the user agreed.

        Returns:
            Titles.

        Raises:
            ValueError: If the query is empty.
        """
        return [q] * limit

    expected = """Find documents.

Example:
    find("cats", limit=3)

Args:
    wher: typed wrongly

Only after the user agreed.

Returns:
    Titles.

Raises:
    ValueError: If the query is empty."""
    schema = function_schema(find)

    assert expected == schema.description
    assert "How many." == schema.parameters["properties"]["limit"]["description"]


@pytest.mark.parametrize(
    "parameters",
    [
        "Args:\n    user: Who asks.\n    q: The query.",
        "Parameters\n----------\nuser : str\n    Who asks.\nq\n    The query.",
        ":param user: Who asks.\n:type user: str\n:param q: The query.",
        "@param user: Who asks.\n@type user: str\n@param q: The query.",
    ],
    ids=["google", "numpy", "sphinx", "epydoc"],
)
def test_nothing_is_told_of_parameters_that_the_model_never_sees(parameters: str) -> None:
    def find(q: str, user: Annotated[str, Injected]) -> str:
        return q + user

    def fixed(user: str, q: str) -> str:
        return q + user

    find.__doc__ = fixed.__doc__ = f"Find it.\n\n{parameters}"

    assert "Find it." == function_schema(find).description
    assert "Find it." == function_schema(functools.partial(fixed, "ada")).description


def test_a_docstring_that_begins_with_its_parameters_describes_them() -> None:
    def find(q: str) -> None:
        """
        Args:
            q: The query,
                in words.
        """

    def found(q: str) -> None:
        """
        Parameters
        ----------
        q : str
            The query,
            in words.
        """

    for function in (find, found):
        schema = function_schema(function)
        described = schema.parameters["properties"]["q"]["description"]
        assert ("", "The query,\nin words.") == (schema.description, described)


def test_a_class_that_begins_with_its_members_describes_them() -> None:
    @dataclass
    class Trip:
        """
        Attributes:
            start: Where it begins.
        """

        start: str

    def book(trip: Trip) -> None: ...

    schema = function_schema(book, namespace={"Trip": Trip}).parameters["properties"]["trip"]
    assert "Where it begins." == schema["properties"]["start"]["description"]
    assert "description" not in schema


def test_a_class_tells_all_but_its_members() -> None:
    @dataclass
    class Trip:
        """A journey.

        Attributes:
            start: Where it begins.

        Note:
            It has no end.
        """

        start: str

    def book(trip: Trip) -> None: ...

    schema = function_schema(book, namespace={"Trip": Trip}).parameters["properties"]["trip"]

    assert "A journey.\n\nNote:\n    It has no end." == schema["description"]


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
