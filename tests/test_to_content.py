"""Every form in which a person may write what is said."""

from __future__ import annotations

import copy
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn import protos
from multiturn.errors import InvalidContent, UnknownName
from multiturn.to_content import strict_to_content, to_blob, to_content, to_contents, to_part

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"
BLOB = {"mimeType": "image/png", "data": "iVBORw0KGgpyZXN0"}
CALL = {"name": "f", "args": {"a": 1}}


def generator() -> Iterator[str]:
    yield "a"
    yield "b"


def is_used_up(form: Any) -> bool:
    """Whether a form can be read only once, or not be copied."""
    return (
        form is generator
        or isinstance(form, type({}.keys()))
        or (isinstance(form, dict) and form.get("parts") is generator)
    )


def wire(content: Any) -> list[dict[str, Any]]:
    return to_content(content).json_object["parts"]  # type: ignore[no-any-return]


FORMS: list[tuple[Any, list[dict[str, Any]]]] = [
    ("a", [{"text": "a"}]),
    (["a"], [{"text": "a"}]),
    (["a", ""], [{"text": "a"}, {"text": ""}]),
    (("a", "b"), [{"text": "a"}, {"text": "b"}]),
    (generator, [{"text": "a"}, {"text": "b"}]),
    (dict.fromkeys(["a", "b"]).keys(), [{"text": "a"}, {"text": "b"}]),
    ({"text": "a"}, [{"text": "a"}]),
    ({"text": "a", "thought": True}, [{"text": "a", "thought": True}]),
    ({"parts": "a"}, [{"text": "a"}]),
    ({"parts": ["a", {"text": "b"}]}, [{"text": "a"}, {"text": "b"}]),
    ({"parts": generator}, [{"text": "a"}, {"text": "b"}]),
    ({"parts": {"text": "a"}}, [{"text": "a"}]),
    (protos.Content(parts=[{"text": "a"}]), [{"text": "a"}]),
    (protos.Part(text="a"), [{"text": "a"}]),
    ([protos.Part(text="a"), "b"], [{"text": "a"}, {"text": "b"}]),
    (protos.Content(parts=[{"text": "a"}]).parts, [{"text": "a"}]),
    (protos.Blob(mime_type="image/png", data=PNG), [{"inlineData": BLOB}]),
    ({"mime_type": "image/png", "data": PNG}, [{"inlineData": BLOB}]),
    ({"inline_data": {"mime_type": "image/png", "data": PNG}}, [{"inlineData": BLOB}]),
    ({"inline_data": PNG}, [{"inlineData": BLOB}]),
    (PNG, [{"inlineData": BLOB}]),
    (protos.FunctionCall(CALL), [{"functionCall": CALL}]),
    ({"function_call": CALL}, [{"functionCall": CALL}]),
    (protos.Part(function_call=CALL), [{"functionCall": CALL}]),
    (protos.Content(parts=[{"function_call": CALL}]), [{"functionCall": CALL}]),
    (
        protos.FunctionResponse(name="f", response={"a": 1}),
        [{"functionResponse": {"name": "f", "response": {"a": 1}}}],
    ),
    (
        {"functionResponse": {"name": "f", "response": {"a": (1, 2)}}},
        [{"functionResponse": {"name": "f", "response": {"a": [1, 2]}}}],
    ),
    (
        protos.FileData(mime_type="a/b", file_uri="u"),
        [{"fileData": {"mimeType": "a/b", "fileUri": "u"}}],
    ),
    (
        {"mime_type": "a/b", "file_uri": "u"},
        [{"fileData": {"mimeType": "a/b", "fileUri": "u"}}],
    ),
    ({"mime_type": "a/b", "uri": "u"}, [{"fileData": {"mimeType": "a/b", "fileUri": "u"}}]),
    (
        SimpleNamespace(uri="u", mime_type="a/b", name="files/1"),
        [{"fileData": {"mimeType": "a/b", "fileUri": "u"}}],
    ),
    (
        {"executable_code": {"language": "PYTHON", "code": "1"}},
        [{"executableCode": {"language": "PYTHON", "code": "1"}}],
    ),
]


@pytest.mark.parametrize(("form", "expected"), FORMS)
def test_every_form_becomes_the_parts_that_travel(form: Any, expected: Any) -> None:
    if form is generator:
        form = generator()
    if isinstance(form, dict) and form.get("parts") is generator:
        form = {"parts": generator()}
    assert expected == wire(form)


@pytest.mark.parametrize(
    ("form", "expected"), [f for f in FORMS if not isinstance(f[0], dict) or "parts" not in f[0]]
)
def test_every_part_may_stand_in_a_list(form: Any, expected: Any) -> None:
    if isinstance(form, dict | protos.Part | protos.Blob | protos.FunctionCall | bytes | str):
        assert [*expected, {"text": "z"}] == wire([form, "z"])
        assert expected[0] == to_part(form).json_object


BAD: list[tuple[Any, str]] = [
    ("", "$"),
    (None, "$"),
    ([], "$"),
    ({}, "$"),
    (iter(()), "$"),
    ({"parts": []}, "$"),
    ({"parts": None}, "$.parts[0]"),
    (3, "$"),
    (object(), "$"),
    (["a", 3], "$[1]"),
    (["a", ["b"]], "$[1]"),
    (["a", None], "$[1]"),
    ({"parts": ["a", 3]}, "$.parts[1]"),
    ({"parts": ["a", {"text": 3}]}, "$.parts[1].text"),
    ({"text": 3}, "$.text"),
    ({"txt": "a"}, "$"),
    ({"thought": True}, "$"),
    (protos.Part(), "$"),
    ({"inline_data": b"who knows"}, "$.inline_data"),
    ({"mime_type": "a/b", "data": 3}, "$.data"),
    ({"function_response": {"response": {"a": float("nan")}}}, "$.function_response.response.a"),
    (
        {"function_response": {"response": {"a": {"b": object()}}}},
        "$.function_response.response.a.b",
    ),
    (b"who knows", "$"),
    ("a\ud800", "$"),
    (["a", "b\udfff"], "$[1]"),
    ({"parts": [{"text": "\ud800"}]}, "$.parts[0].text"),
    (protos.Part(text="\ud800"), "$.text"),
    (Path("/no/such/file"), "$"),
    (["a", Path("/dev/zero")], "$[1]"),
    (Path("/"), "$"),
]


@pytest.mark.parametrize(("form", "path"), BAD)
def test_a_bad_form_is_refused_with_its_exact_path(form: Any, path: str) -> None:
    with pytest.raises(InvalidContent) as caught:
        to_content(form)
    assert path == caught.value.path
    assert str(caught.value).startswith(f"{path} is ")


@pytest.mark.parametrize(
    ("form", "path"),
    [
        ([{"role": "user", "parts": ["a", {"text": 3}]}], "$.contents[0].parts[1].text"),
        (
            [{"parts": "a"}, {"parts": [{"inline_data": {"data": 3}}]}],
            "$.contents[1].parts[0].inline_data.data",
        ),
        (["a", 3], "$.contents[1]"),
        ([{"parts": ["a"]}, "b"], "$.contents[1]"),
        (["b", {"parts": ["a"]}], "$.contents[0]"),
    ],
)
def test_a_bad_list_of_contents_is_refused_with_its_exact_path(form: Any, path: str) -> None:
    with pytest.raises(InvalidContent) as caught:
        to_contents(form, path="$.contents")
    assert path == caught.value.path


def test_a_message_of_another_api_is_refused_with_what_reads_it() -> None:
    with pytest.raises(InvalidContent, match=r"'parts' in the place of 'content'; load_chat\(\)"):
        to_contents([{"role": "user", "content": "Hi"}])


def test_an_unknown_member_of_a_content_is_refused_and_the_nearest_named() -> None:
    with pytest.raises(UnknownName, match="did you mean 'role'"):
        to_content({"parts": ["a"], "rol": "user"})


def test_unknown_members_beside_a_known_part_are_kept() -> None:
    assert [{"text": "a", "laterMember": {"x": 1}}] == wire({"text": "a", "laterMember": {"x": 1}})


def test_a_role_is_given_to_a_content_that_has_none() -> None:
    assert "user" == to_content("a", role="user").role
    assert "user" == to_content({"parts": ["a"]}, role="user").role
    assert "model" == to_content({"parts": ["a"], "role": "model"}, role="user").role
    assert "" == to_content("a").role


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (None, []),
        ([], []),
        ("a", [["a"]]),
        (["a", "b"], [["a", "b"]]),
        ({"parts": ["a"]}, [["a"]]),
        ([{"parts": ["a"]}, {"parts": ["b", "c"]}], [["a"], ["b", "c"]]),
        ([protos.Content(parts=[{"text": "a"}]), {"parts": "b"}], [["a"], ["b"]]),
        (protos.Content(parts=[{"text": "a"}]), [["a"]]),
        (({"parts": [text]} for text in "ab"), [["a"], ["b"]]),
        ((text for text in "ab"), [["a", "b"]]),
    ],
)
def test_contents_are_a_list_or_become_one_content(form: Any, expected: Any) -> None:
    assert expected == [[part.text for part in content.parts] for content in to_contents(form)]


@pytest.mark.parametrize("form", ["a", {"text": "a"}, protos.Part(text="a"), 3, None])
def test_a_strict_content_is_a_content_or_its_dict(form: Any) -> None:
    assert "a" == strict_to_content({"parts": ["a"]}).text
    with pytest.raises(InvalidContent, match="a Content, or a dict with 'parts'"):
        strict_to_content(form)


@pytest.mark.parametrize("form", [f for f, _ in FORMS if not is_used_up(f)])
def test_nothing_that_is_passed_in_is_changed_or_kept(form: Any) -> None:
    before = copy.deepcopy(form)
    made = to_content(form)
    assert before == form
    made.parts.append({"text": "mine"})  # type: ignore[arg-type]
    if made.parts[0].function_call:
        made.parts[0].function_call.args["a"] = 9
    assert before == form


@given(st.text())
def test_any_text_is_said_as_it_is(text: str) -> None:
    if text:
        assert text == to_content(text).text


# -- images and files ---------------------------------------------------------------------


def png_file(path: Path) -> Path:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\x00\x00")
    path.write_bytes(
        PNG[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
    return path


@pytest.mark.parametrize(
    ("name", "data", "mime_type"),
    [
        ("a.png", PNG, "image/png"),
        ("a.bin", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("a", b"GIF89a", "image/gif"),
        ("a", b"RIFF....WEBPVP8 ", "image/webp"),
        ("a", b"%PDF-1.7", "application/pdf"),
        ("a.txt", b"hello", "text/plain"),
        ("a.unheardof", b"hello", "application/octet-stream"),
    ],
)
def test_a_path_is_read_and_its_type_found(
    tmp_path: Path, name: str, data: bytes, mime_type: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    blob = to_blob(path)
    assert (mime_type, data) == (blob.mime_type, blob.data)
    assert [{"inlineData": blob.json_object}] == wire(path)


def image_of(library: str, **members: Any) -> Any:
    """Stand in for an image library, which is recognised by name and never imported."""
    cls = type("Image", (), {"__module__": library})
    sub = type("PngImageFile", (cls,), {"__module__": library + ".more"})
    image = sub()
    image.__dict__.update(members)
    return image


def test_an_image_that_came_from_a_file_is_sent_as_that_file(tmp_path: Path) -> None:
    path = png_file(tmp_path / "a.png")
    image = image_of("PIL.Image", filename=str(path), get_format_mimetype=lambda: "image/png")
    for form in (image, ["look", image], {"inline_data": image}):
        blob = to_content(form).parts[-1].inline_data
        assert ("image/png", path.read_bytes()) == (blob.mime_type, blob.data)


def test_an_image_made_in_memory_is_sent_without_loss() -> None:
    def save(out: Any, *, format: str, lossless: bool) -> None:
        assert ("webp", True) == (format, lossless)
        out.write(b"RIFF")

    blob = to_blob(image_of("PIL.Image", filename="", save=save))
    assert ("image/webp", b"RIFF") == (blob.mime_type, blob.data)


def test_an_ipython_image_must_come_from_a_file() -> None:
    blob = to_blob(image_of("IPython.core.display", filename="a.jpg", data=b"x"))
    assert ("image/jpeg", b"x") == (blob.mime_type, blob.data)
    with pytest.raises(InvalidContent, match="made from a file"):
        to_blob(image_of("IPython.core.display", filename=None, data=b"x"))


def test_an_image_that_cannot_be_read_is_refused_with_its_place() -> None:
    def save(*args: Any, **options: Any) -> None:
        raise OSError("truncated")

    with pytest.raises(InvalidContent, match="truncated") as caught:
        to_content(["look", image_of("PIL.Image", filename="", save=save)])
    assert "$[1]" == caught.value.path


@pytest.mark.parametrize("value", ["text", {"text": "a"}, protos.FunctionCall(CALL)])
def test_what_is_no_blob_is_refused(value: Any) -> None:
    with pytest.raises(InvalidContent, match="a Blob"):
        to_blob(value)


def test_inline_data_without_data_is_refused() -> None:
    with pytest.raises(InvalidContent, match="'data' beside its 'mime_type'") as raised:
        to_content(["Look", {"inline_data": {"mime_type": "image/png"}}])
    assert "$[1].inline_data" == raised.value.path
    assert to_content({"inline_data": {"mime_type": "image/png", "data": b""}}).parts
