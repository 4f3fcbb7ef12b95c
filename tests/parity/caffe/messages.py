"""Writes `.caffemodel` files with Google's protobuf, whose code shares nothing with our reader.

Field numbers and types are those of `src/caffe/proto/caffe.proto` in github.com/BVLC/caffe; the
part of it that holds names and weights is declared here.
"""

import pathlib

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# Message → (field, number, type, repeated, packed).
FIELDS = {
    "BlobShape": [("dim", 1, "int64", True, True)],
    "BlobProto": [
        ("num", 1, "int32", False, False),
        ("channels", 2, "int32", False, False),
        ("height", 3, "int32", False, False),
        ("width", 4, "int32", False, False),
        ("data", 5, "float", True, True),
        ("diff", 6, "float", True, True),
        ("shape", 7, "BlobShape", False, False),
        ("double_data", 8, "double", True, True),
    ],
    "V1LayerParameter": [
        ("bottom", 2, "string", True, False),
        ("top", 3, "string", True, False),
        ("name", 4, "string", False, False),
        ("type", 5, "int32", False, False),
        ("blobs", 6, "BlobProto", True, False),
        ("blobs_lr", 7, "float", True, False),
    ],
    "LayerParameter": [
        ("name", 1, "string", False, False),
        ("type", 2, "string", False, False),
        ("bottom", 3, "string", True, False),
        ("top", 4, "string", True, False),
        ("loss_weight", 5, "float", True, False),
        ("blobs", 7, "BlobProto", True, False),
    ],
    "NetParameter": [
        ("name", 1, "string", False, False),
        ("layers", 2, "V1LayerParameter", True, False),
        ("layer", 100, "LayerParameter", True, False),
    ],
}

Blobs = dict[str, list[np.ndarray]]


def _messages(*, packed: bool = True, blobs: str = "BlobProto", data: str = "float") -> dict:
    """The message classes; `packed=False` writes each number with a tag of its own."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    types = descriptor_pb2.FieldDescriptorProto
    for message, fields in FIELDS.items():
        described = file.message_type.add(name=message)
        for name, number, kind, repeated, may_pack in fields:
            kind = {"blobs": blobs, "data": data}.get(name, kind)
            field = described.field.add(name=name, number=number)
            field.label = types.LABEL_REPEATED if repeated else types.LABEL_OPTIONAL
            if kind in FIELDS:
                field.type, field.type_name = types.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                field.type = getattr(types, f"TYPE_{kind.upper()}")
            if may_pack and kind != "bytes":
                field.options.packed = packed
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))
        for name in FIELDS
    }


PACKED, UNPACKED = _messages(), _messages(packed=False)
# Layers into which a blob goes as bytes: so one can be put together from several messages.
OPEN = _messages(blobs="bytes")
# Packed numbers as the bytes that they are in a file: a million floats as objects take long.
BYTES = _messages(data="bytes")


def caffemodel(
    blobs: Blobs,
    *,
    v1: bool = False,
    legacy_shapes: bool = False,
    packed: bool | tuple[bool, ...] = True,
    double: bool = False,
) -> bytes:
    """A `.caffemodel` that holds these blobs, and a layer without weights at either end.

    `legacy_shapes` gives every shape four dimensions, with ones in front, as files of 2014 do.
    A tuple for `packed` divides the numbers into as many pieces, each packed or not.
    """
    net = OPEN["NetParameter"](name="a net")
    layers = net.layers if v1 else net.layer
    layers.add(name="data", top=["data"])
    for name, arrays in blobs.items():
        layer = layers.add(name=name, bottom=["data"], top=[name])
        for array in arrays:
            layer.blobs.append(
                _shape(array.shape, legacy=legacy_shapes)
                + _numbers(array, packed if isinstance(packed, tuple) else (packed,), double)
            )
    layers.add(name="loss", bottom=["data"])
    return net.SerializeToString()


def _shape(shape: tuple[int, ...], *, legacy: bool) -> bytes:
    if legacy:
        sizes = (1,) * (4 - len(shape)) + shape
        names = ("num", "channels", "height", "width")
        blob = PACKED["BlobProto"](**dict(zip(names, sizes, strict=True)))
    else:
        blob = PACKED["BlobProto"](shape={"dim": shape} if shape else None)
    return blob.SerializeToString()


def _numbers(array: np.ndarray, packed: tuple[bool, ...], double: bool) -> bytes:
    pieces = np.array_split(array.ravel(), len(packed))
    if packed == (True,) and not double:
        return BYTES["BlobProto"](data=[array.astype("<f4").tobytes()]).SerializeToString()
    return b"".join(
        (PACKED if pack else UNPACKED)["BlobProto"](
            **{"double_data" if double else "data": piece.tolist()}
        ).SerializeToString()
        for piece, pack in zip(pieces, packed, strict=True)
    )


def write_caffemodel(
    path: pathlib.Path, blobs: Blobs, **options: bool | tuple[bool, ...]
) -> pathlib.Path:
    path.write_bytes(caffemodel(blobs, **options))
    return path
