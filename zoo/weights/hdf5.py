"""Opens the weights in HDF5 files, layer by layer: those of Keras, in all its forms, and Caffe's.

Keras writes each layer's variables to `layers/<key>/vars/<index>` of a `.weights.h5` or `.keras`
file; the layer's name is not the key but an attribute of `vars`. A `.h5` of Keras, of weights alone
or of a whole model, has them in `<layer>/…/<role>`, Caffe's in `data/<layer>/<index>`. Only these
arrays are used, never a configuration, code or pickle in the file. What Keras never writes is
refused, above all what could grow as it is read: compressed parts, numbers in other files, very
long names.

The reader is our own because Keras's `load_weights` would break two promises: it takes layers by
their position and not by their names, so it fills a wrong model without an error; and when it
fails, some layers are changed already.
"""

import contextlib
import math
import mmap
import os
import pathlib
import re
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import h5py

from zoo.spec import MAX_BYTES, Spec, from_json
from zoo.weights import ENDINGS, content
from zoo.weights.hdf5_text import text_attribute

# The root group's attribute that holds the Spec, one line of JSON.
SPEC = "segmentation_zoo_spec"
# The members of the root group. The optimizer's state is not read.
CONTENTS = {"layers", "vars", "optimizer"}
# Far above what any model needs. They limit the time that a hostile file can cost.
MAX_LAYERS, MAX_VARIABLES, MAX_GROUPS = 1024, 64, 4
# The role of an array in a `.h5` is the end of its name; a layer has its arrays in this order.
ROLE = re.compile(r"(kernel|bias|gamma|beta|moving_mean|moving_variance|W|b)(_1)?(:0)?$")
ORDER = ("kernel", "W", "gamma", "bias", "b", "beta", "moving_mean", "moving_variance")
# What h5py and zipfile raise for damaged files; our own checks raise RuntimeError.
DAMAGE = (OSError, EOFError, RuntimeError, LookupError, TypeError, ValueError)
DAMAGE += (OverflowError, struct.error, zipfile.BadZipFile)


class Weights(NamedTuple):
    """What a file holds: each layer's variables by its name, Caffe's in its layouts.

    `name` is that of the model that was saved, and `spec` the text of its Spec, if the file has it.
    """

    name: str | None
    layers: dict[str, list[h5py.Dataset]]
    spec: str | None = None
    of_caffe: bool = False


class _NestedError(RuntimeError):
    """A layer holds other layers."""


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[Weights]:
    """Yields what a file holds; which form of HDF5 it has is read from its content.

    The variables can be read until the block ends. Their numbers are read when a variable is used
    as an array, so compare its shape first: they take no more memory than it says.

    Raises:
        ValueError: The file is of another kind or damaged, holds more than Keras writes, or
            refers to data outside of the file.
    """
    archived = content.kind(path) is content.Kind.KERAS
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open(path, "rb"))
            if archived:
                archive, file = file, stack.enter_context(tempfile.TemporaryFile())
                _unzip(archive, file)
            data = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            root = stack.enter_context(h5py.File(file if archived else path, "r"))
            found = _weights(root, data)._replace(spec=_spec_text(root, data))
        except _NestedError as error:
            raise ValueError(
                f"{path} is of a model that holds models: {error}. Save the inner model alone: "
                'model.get_layer(NAME).save_weights("inner.weights.h5").'
            ) from error
        except DAMAGE as error:
            raise _damaged(path, error) from error
        yield found


def spec_text(path: str | os.PathLike) -> str | None:
    """The text of the Spec in an HDF5 file; None if the file has none.

    Raises:
        ValueError: The file is damaged, or the text is longer than a Spec.
    """
    try:
        with (
            open(path, "rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
            h5py.File(path, "r") as root,
        ):
            return _spec_text(root, data)
    except DAMAGE as error:
        raise _damaged(path, error) from error


def _spec_text(root: h5py.File, data: mmap.mmap) -> str | None:
    if SPEC not in root.attrs:
        return None
    return text_attribute(data, h5py.h5o.get_info(root.id).addr, SPEC, longest=MAX_BYTES)


def stored_spec(path: str | os.PathLike) -> Spec | None:
    """The Spec in a weights file; None if the file has none or is not there.

    Raises:
        ValueError: The file is damaged, or its Spec cannot be used.
    """
    if not str(path).endswith(ENDINGS) or not pathlib.Path(path).is_file():
        return None
    if content.kind(path) is not content.Kind.HDF5:
        return None
    text = spec_text(path)
    return None if text is None else from_json(text, where=str(path))


def _damaged(path: str | os.PathLike, error: Exception) -> ValueError:
    return ValueError(
        f"{path} is damaged or not a file of weights that Keras saved: {error}. "
        "Copy or download it again, or save it again with model.save_weights(…)."
    )


def _unzip(file: BinaryIO, target: BinaryIO) -> None:
    """Copies the weights of a `.keras` file, and checks the zip's checksum."""
    # zipfile makes an object for each listed member before we can count them.
    end = zipfile._EndRecData(file)
    if end and end[zipfile._ECD_SIZE] > content.MAX_DIRECTORY:
        raise RuntimeError("the list of its members is too long")
    with zipfile.ZipFile(file) as archive:
        # Keras does not compress; a compressed member could fill the disk.
        if archive.getinfo(content.MEMBER).compress_type != zipfile.ZIP_STORED:
            raise RuntimeError(f"{content.MEMBER} in it is compressed")
        with archive.open(content.MEMBER) as member:
            shutil.copyfileobj(member, target)
    target.flush()


def _weights(root: h5py.File, data: mmap.mmap) -> Weights:
    if "layers" in root or "vars" in root:
        return Weights(_model(root, data), _layers(root, data))
    if "data" in root and {"data", "diff"}.issuperset(root):
        return Weights(None, _layers_of_caffe(root, len(data)), of_caffe=True)
    return Weights(None, _layers_of_a_model(root))


def _model(file: h5py.File, data: mmap.mmap) -> str:
    if len(file) > len(CONTENTS) or not CONTENTS.issuperset(file):
        raise RuntimeError(f"it holds more than {', '.join(sorted(CONTENTS))}")
    own = _child(file, "vars", h5py.Group)
    if len(own):
        raise RuntimeError("its model has variables outside of the layers")
    return _name(own, data)


def _layers(file: h5py.File, data: mmap.mmap) -> dict[str, list[h5py.Dataset]]:
    layers = {}
    groups = _child(file, "layers", h5py.Group)
    if len(groups) > MAX_LAYERS:
        raise RuntimeError(f"it has more than {MAX_LAYERS} layers")
    for key in groups:
        group = _child(groups, key, h5py.Group)
        variables = _child(group, "vars", h5py.Group)
        if len(group) > 1:
            if any(
                group.get(name, getclass=True) is h5py.Group for name in group if name != "vars"
            ):
                raise _NestedError(f"{group.name} is one")
            raise RuntimeError(f"{group.name} is a model or layer that holds other layers")
        if len(variables) > MAX_VARIABLES:
            raise RuntimeError(f"{variables.name} has more than {MAX_VARIABLES} members")
        name = _name(variables, data)
        if name in layers:
            raise RuntimeError(f"two layers have the name {name!r}")
        layers[name] = [
            _child(variables, str(index), h5py.Dataset) for index in range(len(variables))
        ]
        for variable in layers[name]:
            _check_numbers(name, variable)
    return {name: variables for name, variables in layers.items() if variables}


def _layers_of_a_model(file: h5py.File) -> dict[str, list[h5py.Dataset]]:
    """The variables in a `.h5` of Keras 2 or 3: of weights alone, or of a whole model."""
    groups = _child(file, "model_weights", h5py.Group) if "model_weights" in file else file
    if len(groups) > MAX_LAYERS:
        raise RuntimeError(f"it has more than {MAX_LAYERS} layers")
    layers = {}
    for name in groups:
        variables = {}
        for key, variable in _leaves(_child(groups, name, h5py.Group)):
            role = ROLE.search(key)
            if not role or role[1] in variables:
                raise RuntimeError(f"{variable.name} is not a weight of a layer")
            _check_numbers(name, variable)
            variables[role[1]] = variable
        if variables:
            layers[name] = [variables[role] for role in sorted(variables, key=ORDER.index)]
    return layers


def _layers_of_caffe(file: h5py.File, size: int) -> dict[str, list[h5py.Dataset]]:
    """The blobs in a `.caffemodel.h5`; `size` is that of the file, in bytes."""
    groups = _child(file, "data", h5py.Group)
    if len(groups) > MAX_LAYERS:
        raise RuntimeError(f"it has more than {MAX_LAYERS} layers")
    layers = {}
    for name in groups:
        group = _child(groups, name, h5py.Group)
        if len(group) > MAX_VARIABLES:
            raise RuntimeError(f"{group.name} has more than {MAX_VARIABLES} members")
        layers[name] = [_child(group, str(index), h5py.Dataset) for index in range(len(group))]
        for blob in layers[name]:
            _check_numbers(name, blob)
    # The caller reads blobs to turn them, before it can compare their shapes.
    if sum(blob.id.get_storage_size() for blobs in layers.values() for blob in blobs) > size:
        raise RuntimeError("its blobs are longer than the file")
    return {name: blobs for name, blobs in layers.items() if blobs}


def _leaves(group: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    """The arrays of a layer. They lie in nested groups that repeat its name."""
    for _ in range(MAX_GROUPS):
        inner = _child(group, next(iter(group)), h5py.HLObject) if len(group) == 1 else None
        if not isinstance(inner, h5py.Group):
            break
        group = inner
    if len(group) > MAX_VARIABLES:
        raise RuntimeError(f"{group.name} has more than {MAX_VARIABLES} members")
    for key in group:
        if _is_group(group, key):
            raise _NestedError(f"{group.name} is one")
        yield key, _child(group, key, h5py.Dataset)


def _name(group: h5py.Group, data: mmap.mmap) -> str:
    return text_attribute(data, h5py.h5o.get_info(group.id).addr, "name")


def _check_numbers(layer: str, variable: h5py.Dataset) -> None:
    """Refuses an array unless its numbers are floats, all in this file and uncompressed."""
    if variable.dtype.kind != "f" or variable.dtype.itemsize not in (2, 4, 8):
        raise RuntimeError(
            f"{layer} has numbers of type {variable.dtype}; float32, float16 and float64 are read"
        )
    if variable.external or variable.is_virtual:
        raise RuntimeError(f"{variable.name} stores its numbers in another file")
    if variable.chunks:  # a chunk may be larger than the array
        raise RuntimeError(f"{variable.name} stores its numbers in chunks, compressed or not")
    if variable.id.get_storage_size() != math.prod(variable.shape) * variable.dtype.itemsize:
        raise RuntimeError(f"{variable.name} holds fewer numbers than its shape says")


def _is_group(group: h5py.Group, name: str) -> bool:
    hard = isinstance(group.get(name, getlink=True), h5py.HardLink)  # the class would follow others
    return hard and group.get(name, getclass=True) is h5py.Group


def _child(group: h5py.Group, name: str, kind: type) -> h5py.Group | h5py.Dataset:
    """A member of a group; a link to another place or file is refused."""
    path = f"{group.name.rstrip('/')}/{name}"
    if not path.isprintable():  # errors print it
        raise RuntimeError(f"{path!r} is not printable")
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise RuntimeError(f"{path} is missing or a link")
    child = group[name]
    if not isinstance(child, kind):
        raise RuntimeError(f"{path} is not a {kind.__name__.lower()}")
    return child
