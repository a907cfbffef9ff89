"""The images of a request to `/predict`: files of a form, the body itself, or items of a JSON document."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, create_form_parser

from headstart.errors import ArgumentError, DataError
from headstart.versions.serving.answers import COLUMNS, Answer
from headstart.versions.serving.counting import check_values
from headstart.versions.serving.served_model import ServedModel, bytes_of

FORM, JSON, BYTES = "multipart/form-data", "application/json", "application/octet-stream"
KINDS = f"{FORM} with files, image/* or {BYTES} for one image, or {JSON}"
SOURCES = ("base64", "data_uri", "path")
IN_MEMORY = {"MAX_MEMORY_FILE_SIZE": float("inf")}  # the body is there already, and bounded


class Item(NamedTuple):
    """An image of a request: its name, None for one without, and its bytes or where they come from."""

    name: str | None
    given: Any


class WrongKind(ArgumentError):
    """The body is of a type that `/predict` does not take."""


def items_of(body: bytes, content_type: str, most: int) -> list[Item]:
    """Parse a request's body; no more than `most` files or items are built.

    Raises:
        WrongKind: the body is of another type.
        ArgumentError: the body is malformed, has too many images, or a form has fields beside its files.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == FORM:
        return _files_of(body, content_type, most)
    if kind == JSON:
        return _listed(body, most)
    if kind.startswith("image/") or kind == BYTES:
        return [Item(None, body)]
    raise WrongKind(f"the content type is {kind or 'missing'}; expected {KINDS}")


def reader(served: ServedModel) -> Callable[[Item], bytes]:
    """Return the function that reads an item; a path has to be below a place that HEADSTART_PATHS allows."""

    def read(item: Item) -> bytes:
        if isinstance(item.given, bytes):
            return item.given
        return _read_listed(item.given, served)

    return read


def named_answer(item: Item, row: Answer) -> dict[str, Any]:
    """The answer for an item as a document, with its name but without what UTF-8 cannot hold of it."""
    name = None if item.name is None else item.name.encode(errors="replace").decode()
    return {"name": name, **dict(zip(COLUMNS, row, strict=True))}


def _files_of(body: bytes, content_type: str, most: int) -> list[Item]:
    found: list[Item] = []
    ended: list[bool] = []

    def add(file: File) -> None:
        if len(found) == most:
            raise ArgumentError(f"the form has more files than {most}; send them in several requests")
        file.file_object.seek(0)
        found.append(Item((file.file_name or b"").decode(errors="replace"), file.file_object.read()))
        file.close()

    try:
        parser = create_form_parser(
            {"Content-Type": content_type.encode("latin-1")}, _refuse_text, add, IN_MEMORY
        )
        parser.on_end = lambda: ended.append(True)
        parser.write(body)
    except FormParserError as error:
        raise ArgumentError(f"the form is malformed: {error}; `curl -F image=@a.jpg` sends one") from error
    if not ended:
        raise ArgumentError("the form is cut off: its last boundary is missing; send it again")
    if not found:
        raise ArgumentError("the form holds no file; send one or more, such as `curl -F image=@a.jpg`")
    return found


def _refuse_text(field: Field) -> None:
    name = (field.field_name or b"").decode(errors="replace")
    raise ArgumentError(f"the field {name!r} is a text, not a file; `curl -F image=@a.jpg` sends a file")


def _listed(body: bytes, most: int) -> list[Item]:
    check_values(body, most)
    expected = 'expected {"images": [...]}, each with one of ' + ", ".join(SOURCES)
    try:
        document = json.loads(body)
    except ValueError as error:
        raise ArgumentError(f"the body is not JSON: {error}; {expected}") from error
    except RecursionError:
        raise ArgumentError("the request is nested too deeply") from None
    if not isinstance(document, dict) or set(document) != {"images"}:
        raise ArgumentError(f"the document has other keys than `images`; {expected}")
    if not isinstance(document["images"], list):
        raise ArgumentError(f"`images` is not a list; {expected}")
    return [Item(_name_of(each), each) for each in document["images"]]


def _name_of(listed: object) -> str | None:
    names = [listed.get("name"), listed.get("path")] if isinstance(listed, dict) else []
    return next((name for name in names if isinstance(name, str)), None)


def _read_listed(listed: object, served: ServedModel) -> bytes:
    given = [key for key in SOURCES if key in listed] if isinstance(listed, dict) else []
    if len(given) != 1 or not isinstance(listed, dict):
        raise DataError(
            f"an item has one of {', '.join(SOURCES)}; this one has {' and '.join(given) or 'none'}"
        )
    value = listed[given[0]]
    if given == ["path"]:
        return served.read_path(value)
    return bytes_of(_after_comma(value) if given == ["data_uri"] else value)


def _after_comma(uri: object) -> str:
    """The Base64 of a data URI (RFC 2397)."""
    head, comma, data = uri.partition(",") if isinstance(uri, str) else ("", "", "")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise DataError("not a data URI in Base64: expected data:image/png;base64,...")
    return data
