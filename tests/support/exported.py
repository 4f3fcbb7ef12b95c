"""The exports of the toys, each made once for all tests of a run, in all of its processes."""

import fcntl
import pathlib

import exports
from exports.formats import FORMATS
from tests.support import specs
from tests.support.toys import TOYS, build_toy


def exported(folder: pathlib.Path, name: str, form: str) -> pathlib.Path:
    """The path of a toy's export in `folder`, made if it is not there. Copy it to change it.

    All but a SavedModel take images of the toy's size. That of U-Net has the Spec `specs.UNET`.
    """
    path = folder / FORMATS[form].place.format(name=name).format(1)
    size = None if form == "saved_model" else TOYS[name].size
    spec = specs.UNET if name == specs.UNET.model else None
    folder.mkdir(exist_ok=True)
    with open(folder / f"{name}-{form}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of the run may be at it
        if not path.exists():  # it appears only when it is whole
            exports.export(build_toy(name), folder, [form], spec=spec, version=1, size=size)
    return path
