"""Opens the weights in a `.weights.h5` or `.keras` file, layer by layer.

Keras writes each layer's variables to `layers/<key>/vars/<index>`; the keys are made up, and the
layer's own name is an attribute of `vars`. Nothing but these arrays is used: no configuration, no
code and no pickle of the file is ever looked at.
"""

import contextlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator

import h5py

# What Keras calls the weights inside of a `.keras` file, which is a zip.
MEMBER = "model.weights.h5"
# What the two libraries raise for files that are not as they should be; we raise RuntimeError.
DAMAGE = (OSError, EOFError, RuntimeError, LookupError, TypeError, ValueError, zipfile.BadZipFile)


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[tuple[str, dict[str, list[h5py.Dataset]]]]:
    """The name of the model and the variables of each layer by its name, until the block ends.

    The numbers are read only where a variable is used as an array: compare its shape before.

    Raises:
        ValueError: The file is of another kind, damaged, or refers to what lies outside of it.
    """
    with contextlib.ExitStack() as stack:
        try:
            source = path
            if str(path).endswith(".keras"):
                source = stack.enter_context(tempfile.TemporaryFile())
                _unzip(path, source)
            file = stack.enter_context(h5py.File(source, "r"))
            content = _name(file), _layers(file)
        except DAMAGE as error:
            raise ValueError(
                f"{path} is damaged or not a file of weights that Keras 3 saved: {error}. "
                "Copy or download it again, or save it again with model.save_weights(…)."
            ) from error
        yield content


def _unzip(path: str | os.PathLike, target: object) -> None:
    """Copies the weights of a `.keras` file, checking the sum that the zip keeps."""
    with zipfile.ZipFile(path) as archive:
        # Keras does not compress; what grows as it is read was made to fill the disk.
        if archive.getinfo(MEMBER).compress_type != zipfile.ZIP_STORED:
            raise RuntimeError(f"{MEMBER} in it is compressed")
        with archive.open(MEMBER) as member:
            shutil.copyfileobj(member, target)


def _name(file: h5py.File) -> str:
    own = _child(file, "vars", h5py.Group)
    if len(own):
        raise RuntimeError("its model has variables outside of the layers")
    return str(own.attrs["name"])


def _layers(file: h5py.File) -> dict[str, list[h5py.Dataset]]:
    layers = {}
    groups = _child(file, "layers", h5py.Group)
    for key in groups:
        group = _child(groups, key, h5py.Group)
        if set(group) != {"vars"}:
            raise RuntimeError(f"{group.name} is a model or layer that holds others")
        variables = _child(group, "vars", h5py.Group)
        name = str(variables.attrs["name"])
        if name in layers:
            raise RuntimeError(f"two layers have the name {name!r}")
        indices = sorted(variables, key=lambda index: (len(index), str(index)))
        layers[name] = [_child(variables, index, h5py.Dataset) for index in indices]
        for variable in layers[name]:
            if variable.dtype.kind != "f":
                raise RuntimeError(
                    f"{name} has numbers of type {variable.dtype}; float32, float16 and float64 "
                    "are read"
                )
    return {name: variables for name, variables in layers.items() if variables}


def _child(group: h5py.Group, name: str, kind: type) -> h5py.Group | h5py.Dataset:
    """A member of a group, never one that lies in another place or file."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise RuntimeError(f"{group.name.rstrip('/')}/{name} is missing or a link")
    child = group[name]
    if not isinstance(child, kind):
        raise RuntimeError(f"{child.name} is not a {kind.__name__.lower()}")
    if kind is h5py.Dataset and (child.external or child.is_virtual):
        raise RuntimeError(f"{child.name} keeps its numbers in another file")
    return child
