"""What an exported model is, read from its file or folder. The file may come from a stranger."""

import json
import mmap
import os
import pathlib
import struct
from typing import Any

from exports import protobuf
from zoo.spec import MAX_BYTES, Spec, from_dict, from_json

ENTRY = "segmentation_zoo_spec"
"""The name of the metadata entry that holds the Spec in a TFLite or ONNX file."""

MAX_RECORD = 1 << 20
"""The largest export.json that is read, in bytes."""

_MAX_ENTRIES = 1000  # of the metadata, and of the parts of an ONNX file; real files have few
_TFLITE = b"TFL3"
# The fields of the tables in TFLite's schema.fbs, and of ONNX's messages.
_BUFFERS, _METADATA, _NAME, _BUFFER, _DATA = 4, 6, 0, 1, 0
_METADATA_PROPS, _KEY, _VALUE = 14, 1, 2


def read_spec(path: str | os.PathLike) -> Spec:
    """What an exported model is, without loading it.

    ```python
    exports.read_spec("served/unet/1").class_names  # ("background", "coin")
    ```

    Args:
        path: The folder of a SavedModel, of an ONNX or of an OpenVINO export; a TFLite file; an
            ONNX file.

    Raises:
        FileNotFoundError: Nothing is there.
        ValueError: It is not an export, is damaged, or does not say what it is.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        spec = read_record(path).get("spec")
        if spec is None:
            raise _unknown(path)
        return from_dict(spec, where=str(path))
    text = _entry(path)
    if text is None:
        raise _unknown(path)
    return from_json(text, where=str(path))


def read_record(folder: pathlib.Path) -> dict[str, Any]:
    """The contents of the `export.json` in a folder.

    Raises:
        ValueError: There is none, or it is not a JSON object.
    """
    try:
        with open(folder / "export.json", "rb") as file:
            content = file.read(MAX_RECORD + 1)
        if len(content) > MAX_RECORD:
            raise ValueError(f"it has more than {MAX_RECORD} bytes")
        record = json.loads(content.decode("utf-8"))
        if not isinstance(record, dict):
            raise ValueError("it is not a JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"A version has a file export.json, written with it; that of {folder} cannot be read "
            f"({error}). Pass OUT/NAME/VERSION, as zoo export wrote it, or export again."
        ) from error
    return record


def _entry(path: pathlib.Path) -> str | None:
    """The text of the metadata entry in a TFLite or ONNX file."""
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise ValueError(f"A TFLite or ONNX file is not empty; {path} is. Copy it again.")
        # Closed when its last view is gone: errors hold some.
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        found = _in_tflite(content) if content[4:8] == _TFLITE else _in_onnx(content)
        return None if found is None else found.decode("utf-8")
    except (ValueError, TypeError, LookupError, ArithmeticError, struct.error) as error:
        raise ValueError(
            f"{path} is not a whole TFLite or ONNX file ({error}). Copy it again."
        ) from error


def _in_tflite(content: mmap.mmap) -> bytes | None:
    from flatbuffers.table import Table

    def table_at(place: int) -> Table:
        return Table(content, place + struct.unpack_from("<I", content, place)[0])

    def vector(table: Table, field: int) -> tuple[int, int]:
        """The first place and the length of a vector; the length is 0 where there is none."""
        offset = table.Offset(4 + 2 * field)
        return (table.Vector(offset), table.VectorLen(offset)) if offset else (0, 0)

    def bytes_of(table: Table, field: int) -> bytes:
        place, length = vector(table, field)
        if length > MAX_BYTES or not 0 <= place <= place + length <= len(content):
            raise ValueError(f"a text of {length} bytes is not within the file or its limits")
        return content[place : place + length]

    model = table_at(0)
    (entries, count), (buffers, buffer_count) = vector(model, _METADATA), vector(model, _BUFFERS)
    if count > _MAX_ENTRIES:
        raise ValueError(f"it has {count} metadata entries, where {_MAX_ENTRIES} are the most")
    for place in range(entries, entries + 4 * count, 4):
        entry = table_at(place)
        if bytes_of(entry, _NAME) != ENTRY.encode():
            continue
        offset = entry.Offset(4 + 2 * _BUFFER)
        number = struct.unpack_from("<I", content, entry.Pos + offset)[0] if offset else 0
        if number >= buffer_count:
            raise ValueError(f"buffer {number} is not among the {buffer_count} of the file")
        return bytes_of(table_at(buffers + 4 * number), _DATA)
    return None


def _in_onnx(content: mmap.mmap) -> bytes | None:
    for count, (number, part) in enumerate(protobuf.fields(memoryview(content))):
        if count >= _MAX_ENTRIES:
            raise ValueError(f"it has more than {_MAX_ENTRIES} parts")
        if number != _METADATA_PROPS or isinstance(part, int) or len(part) > 2 * MAX_BYTES:
            continue
        pair = dict(protobuf.fields(bytes(part)))
        if pair.get(_KEY) == ENTRY.encode() and isinstance(pair.get(_VALUE), bytes):
            return pair[_VALUE]
    return None


def _unknown(path: pathlib.Path) -> ValueError:
    return ValueError(
        f"{path} does not say what its model is: it was exported without a Spec, or by another "
        "program. Export a model of the zoo, or pass spec= to exports.export."
    )
