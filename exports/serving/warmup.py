"""What TensorFlow Serving reads beside the graph: warm-up requests, and how it forms batches.

The server asks a new version these requests first: the first request of each signature is slow,
because memory is taken and the graph is optimized. A request that fails keeps the version from
loading. The messages are `PredictionLog`s of `tensorflow_serving/apis`, in a TFRecord file. The
numbers of their fields are written here: the package of that name would be needed for nothing else.
"""

import pathlib
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from exports import protobuf
from exports.graph import (
    CLASS_MAP_FROM_BYTES,
    CLASS_NAMES,
    HEADS,
    MASK_PNG,
    SCORES,
    SERVING_DEFAULT,
)
from exports.graph.limits import Limits
from exports.graph.ports import Ports
from exports.runtimes import Ask

WARM_UP = "assets.extra/tf_serving_warmup_requests"
BATCHING = "batching_params.pbtxt"

_SIDE = 224  # pixels of the image; a larger one would warm up no more, in a larger file
_WAIT = 5000  # µs until a batch is computed that is not full: little beside the time of a network

# The fields of PredictionLog, PredictLog, PredictRequest and ModelSpec.
_PREDICT_LOG, _REQUEST = 6, 1
_MODEL, _INPUTS = 1, 2
_NAME, _SIGNATURE = 1, 3


def write(directory: pathlib.Path, model: str, limits: Limits, ports: Ports) -> None:
    """Writes a request for each signature, about one image of noise, one class or one head.

    Raises:
        ValueError: The limits refuse that image.
    """
    shape = (1, *limits.fit(_SIDE, _SIDE), limits.channels)
    images = ports.split(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    files = {name: tf.io.encode_png(image[0]).numpy() for name, image in images.items()}
    for content in files.values():
        limits.check_file(content)
    files = {ports.bytes_of(name): np.array([one], object) for name, one in files.items()}
    first = {"index": np.zeros(1, np.int32)}
    plain = {
        SERVING_DEFAULT: images,
        CLASS_MAP_FROM_BYTES: files,
        MASK_PNG: files,
        SCORES: images,
        CLASS_NAMES: first,
    }
    requests = {
        ports.name_of(name, head): inputs for head in ports.heads for name, inputs in plain.items()
    } | ({HEADS: first} if len(ports.heads) > 1 else {})
    path = directory / WARM_UP
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as file:
        for signature, inputs in requests.items():
            file.write(_log(model, signature, inputs))


def replay(directory: pathlib.Path, ask: Ask) -> int:
    """Asks the requests of a version, as a server does; returns their number.

    Raises:
        ValueError: The file is damaged, or holds something else.
        RuntimeError: A request is refused.
    """
    count = 0
    for signature, inputs in _read(directory / WARM_UP):
        ask(signature, inputs)
        count += 1
    return count


def write_batching(directory: pathlib.Path, max_batch: int) -> None:
    """Writes how a server forms batches of this version, if it forms any."""
    (directory / BATCHING).write_text(
        "# Read by a server with --enable_batching --enable_per_model_batching_parameters.\n"
        f"max_batch_size {{ value: {max_batch} }}  # more images are refused by the graph\n"
        f"batch_timeout_micros {{ value: {_WAIT} }}\n"
        "max_enqueued_batches { value: 100 }  # further requests are refused at once\n"
    )


def _log(model: str, signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    spec = protobuf.field(_NAME, model.encode()) + protobuf.field(_SIGNATURE, signature.encode())
    request = protobuf.field(_MODEL, spec)
    for name, array in inputs.items():
        values = array.tolist() if array.dtype == object else array
        tensor = tf.make_tensor_proto(values, shape=array.shape).SerializeToString()
        pair = protobuf.field(1, name.encode()) + protobuf.field(2, tensor)
        request += protobuf.field(_INPUTS, pair)
    return protobuf.field(_PREDICT_LOG, protobuf.field(_REQUEST, request))


def _read(path: pathlib.Path) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    try:
        for record in tf.data.TFRecordDataset(str(path), buffer_size=1 << 18):
            log = dict(protobuf.fields(record.numpy()))[_PREDICT_LOG]
            request = dict(protobuf.fields(log))[_REQUEST]
            spec = dict(protobuf.fields(dict(protobuf.fields(request))[_MODEL]))
            yield (
                spec[_SIGNATURE].decode(),
                {
                    name: tf.make_ndarray(tensor_pb2.TensorProto.FromString(tensor))
                    for name, tensor in protobuf.mapping(request, _INPUTS).items()
                },
            )
    except (KeyError, tf.errors.DataLossError) as error:
        raise ValueError(
            f"A warm-up file holds logs of predict requests; {path} does not ({error}). "
            "Export again."
        ) from error
