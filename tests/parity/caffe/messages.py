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


def _messages(*, packed: bool) -> dict:
    """The message classes; `packed=False` writes each number with a tag of its own."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    types = descriptor_pb2.FieldDescriptorProto
    for message, fields in FIELDS.items():
        described = file.message_type.add(name=message)
        for name, number, kind, repeated, may_pack in fields:
            field = described.field.add(name=name, number=number)
            field.label = types.LABEL_REPEATED if repeated else types.LABEL_OPTIONAL
            if kind in FIELDS:
                field.type, field.type_name = types.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                field.type = getattr(types, f"TYPE_{kind.upper()}")
            if may_pack:
                field.options.packed = packed
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))
        for name in FIELDS
    }


PACKED, UNPACKED = _messages(packed=True), _messages(packed=False)


def caffemodel(
    blobs: Blobs,
    *,
    v1: bool = False,
    legacy_shapes: bool = False,
    packed: bool = True,
    double: bool = False,
) -> bytes:
    """A `.caffemodel` that holds these blobs, and a layer without weights at either end.

    `legacy_shapes` gives every shape four dimensions, with ones in front, as files of 2014 do.
    """
    net = (PACKED if packed else UNPACKED)["NetParameter"](name="a net")
    layers = net.layers if v1 else net.layer
    layers.add(name="data", top=["data"])
    for name, arrays in blobs.items():
        layer = layers.add(name=name, bottom=["data"], top=[name])
        for array in arrays:
            blob = layer.blobs.add()
            if legacy_shapes:
                sizes = (1,) * (4 - array.ndim) + array.shape
                blob.num, blob.channels, blob.height, blob.width = sizes
            else:
                blob.shape.dim.extend(array.shape)
            (blob.double_data if double else blob.data).extend(array.ravel().tolist())
    layers.add(name="loss", bottom=["data"])
    return net.SerializeToString()


def write_caffemodel(path: pathlib.Path, blobs: Blobs, **options: bool) -> pathlib.Path:
    path.write_bytes(caffemodel(blobs, **options))
    return path
