"""The exports of the toys, each made once for all tests of a run, in all of its processes."""

import fcntl
import pathlib
from collections.abc import Callable

import exports.formats.saved_model
import exports.formats.tflite
from tests.support.toys import TOYS, build_toy


def saved_model(name: str, out: pathlib.Path) -> None:
    exports.formats.saved_model.export(build_toy(name), out, options=TOYS[name].options)


def tflite(name: str, out: pathlib.Path) -> None:
    size = TOYS[name].size
    exports.formats.tflite.export(build_toy(name), out, size=size, options=TOYS[name].options)


EXPORTERS: dict[str, tuple[Callable[[str, pathlib.Path], None], str]] = {
    "saved_model": (saved_model, "{name}/1"),
    "tflite": (tflite, "{name}-1.tflite"),
}
"""How a form is written, and where it then lies. A TFLite file takes images of the toy's size."""


def exported(folder: pathlib.Path, name: str, form: str) -> pathlib.Path:
    """The path of a toy's export in `folder`, made if it is not there. Copy it to change it."""
    write, place = EXPORTERS[form]
    path = folder / place.format(name=name)
    folder.mkdir(exist_ok=True)
    with open(folder / f"{name}-{form}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of the run may be at it
        if not path.exists():  # it appears only when it is whole
            write(name, folder)
    return path
