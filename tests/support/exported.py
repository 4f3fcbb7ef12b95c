"""The exports of the toys, each made once for all tests of a run, in all of its processes.

`LIKE` names the nets whose SavedModel is the graph alone.
"""

import fcntl
import pathlib

import exports
from exports.formats import FORMATS, saved_model
from exports.graph.signatures import signatures
from tests.support import specs
from tests.support.toys import TOYS, build_toy

LIKE = {
    "deconvnet": "segnet",  # unpools, too; it is padded as the U-Net on VGG-16
    "fcn16s": "fcn8s",  # a skip less
    "fcn32s": "fcn8s",  # no skip
    "fcn8s_atonce": "fcn8s",  # its skips are scaled first
    "fullres": "unet",  # convolutions only
}
"""Whose SavedModel has the graph and nothing beside it, and which whole export stands for it.

What lies beside a graph, what asks it in C++ and what is checked before it appears, sees of a net
its signatures and the kinds of its operations: those of the other net. A net that is not here is
exported as users export it.
"""
WHOLE = sorted(set(TOYS) - set(LIKE))


def exported(folder: pathlib.Path, name: str, form: str) -> pathlib.Path:
    """The path of a toy's export in `folder`, made if it is not there. Copy it to change it.

    All but a SavedModel take images of the toy's size. U-Net's has the Spec `specs.UNET`. The
    SavedModel of a net in `LIKE` has the signatures alone.
    """
    path = folder / FORMATS[form].place.format(name=name).format(1)
    size = None if form == "saved_model" else TOYS[name].size
    spec = specs.UNET if name == specs.UNET.model else None
    folder.mkdir(exist_ok=True)
    with open(folder / f"{name}-{form}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of the run may be at it
        if path.exists():  # it appears only when it is whole
            return path
        if form == "saved_model" and name in LIKE:
            model, unfinished = build_toy(name), folder / f"{name}-unfinished"
            saved_model.save(model, signatures(model), unfinished)
            path.parent.mkdir()
            unfinished.rename(path)
        else:
            exports.export(build_toy(name), folder, [form], spec=spec, version=1, size=size)
    return path
