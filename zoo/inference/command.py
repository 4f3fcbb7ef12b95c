"""The command `zoo predict`; what is heavy is imported late."""

import argparse
import os
import pathlib
import sys
from typing import TYPE_CHECKING, Any

from zoo import quiet, terminal
from zoo.inference import methods

if TYPE_CHECKING:
    import keras
    import numpy as np

    from zoo.inference.scorers import Scorer

_PREDICT = """\
Answers images. Writes for each NAME-mask.png, a palette PNG whose values are the classes, and
NAME-overlay.png, the classes drawn over the image, with a legend. Both are turned as viewers turn
an image with an EXIF orientation. A video becomes NAME-overlay.mp4; a GeoTIFF NAME-mask.tif, with
its georeference. An image that does not fit into the memory is answered strip by strip.

A classifier answers with heat maps alone: zoo predict vgg16_heatmap cat.jpg --heatmaps tabby
--out FOLDER takes Keras's ImageNet weights, which are downloaded once (550 MB).

answers.jsonl in the folder has a line for each image: its file, the share of each class, seconds.
The same command goes on where it was stopped, and answers what is new or has changed."""


def predict(arguments: list[str]) -> int:
    """`zoo predict`: status 1 if an image has no answer, 2 for a wrong request."""
    given = _parser().parse_args(arguments)
    return terminal.run(lambda: _predict(given), prog="zoo predict", failures=(MemoryError,))


def _predict(given: argparse.Namespace) -> int:
    from zoo import depths, videos
    from zoo.inference import inputs

    method = methods.of_options(given)
    if given.boxes and not given.proposals:
        raise ValueError("--boxes is for proposals. Add --proposals, or leave --boxes out.")
    methods.warn_of_twins(given.model, given.ensemble)
    paths = inputs.find(given.images)
    for_images = given.scores or given.heatmaps or given.boxes or given.depth
    if for_images and any(map(videos.is_video, paths)):
        raise ValueError(
            "Of a video an overlay is written: --scores, --heatmaps, --boxes and --depth are for "
            "images. "
            "Leave them out, or answer the videos by a command of their own."
        )
    boxes = _boxes(given.boxes, paths)
    beside = {} if given.depth is None else depths.find(paths, given.depth)
    quiet.import_tensorflow()
    from zoo import progress
    from zoo.inference import journal
    from zoo.inference.answers import write_answers
    from zoo.inference.asked import Asked
    from zoo.inference.predicting import members

    asked = Asked(
        _model(given, method),
        members(given.ensemble, head=given.head),
        method,
        boxes,
        beside,
        scores=given.scores,
        heatmaps=given.heatmaps,
        font=given.font,
    )
    asked.check()
    films = [path for path in paths if videos.is_video(path)]
    if films and depths.takes_depth(asked.spec):
        raise ValueError(
            f"A net of colour and depth answers images; received the video {films[0]}. Leave it "
            "out, or save its frames and their depths as files."
        )
    if given.depth is None:
        depths.check_alone(asked.spec, paths[0])  # what the net takes, it takes of all
    else:
        depths.check_taken(asked.spec)

    def warn(line: str) -> None:
        print(f"zoo predict: {one_line(line)}", file=sys.stderr, flush=True)

    def one_line(text: str) -> str:  # the name of a file may hold the end of one
        return terminal.printable(text).replace("\n", "\\n")

    with (
        journal.opened(given.out, _request(given), beside) as kept,
        progress.counting("images", rate=True) as show,
    ):
        without = write_answers(
            asked,
            paths,
            kept,
            report=lambda line: terminal.tell(one_line(line)),
            warn=warn,
            progress=show,
        )
    if without:
        count = terminal.counted(len(paths), "image")
        terminal.tell(f"{len(without)} of {count} without an answer, or with a part of one")
    return terminal.FAILED if without else 0


def _model(given: argparse.Namespace, method: methods.Method) -> "Scorer | keras.Model":
    """The Scorer of MODEL; of a classifier the model itself."""
    from zoo import loading, registry
    from zoo.inference import asked, exported

    path = pathlib.Path(given.model)
    if not path.exists() and registry.is_classifier(given.model):
        asked.check_classifier(given.model, heatmaps=given.heatmaps)  # before anything is fetched
        return registry.build(given.model, weights="imagenet")
    if exported.find(path) is None:
        spec = loading.find(path, given.checkpoint).spec
        if spec is not None and registry.is_classifier(spec.model):
            return loading.load(path, checkpoint=given.checkpoint)
    return method.scorer(given.model, checkpoint=given.checkpoint, head=given.head)


def _boxes(file: str | None, paths: list[pathlib.Path]) -> "dict[str, np.ndarray]":
    """The boxes of each image by its name; empty without a file.

    Raises:
        ValueError: An image is not on the list.
    """
    if file is None:
        return {}
    from zoo.inference import boxes

    found = boxes.read(file)
    lacking = [path for path in paths if path.stem not in found]
    if lacking:
        raise ValueError(
            f"--boxes has a line for each image, with its name at least; {file} has none for "
            f"{lacking[0].stem}. Add it, or leave the image out."
        )
    return found


def _request(given: argparse.Namespace) -> dict[str, Any]:
    """What is asked of every image; with it a later command knows whether it may go on."""
    # Folders of answers to nets with one head have neither.
    further = {"head": given.head, "depth": given.depth and os.path.abspath(given.depth)}
    return {name: value for name, value in further.items() if value is not None} | {
        "model": _identity(given.model, given.checkpoint),
        "ensemble": [_identity(path) for path in given.ensemble],
        "method": {**vars(methods.of_options(given))},
        "boxes": given.boxes and _of_file(pathlib.Path(given.boxes)),
        "scores": given.scores,
        "heatmaps": given.heatmaps,
        "font": given.font,
    }


def _identity(path: str, checkpoint: str | None = None) -> dict[str, Any]:
    """What tells a model from another one at its path."""
    from zoo import loading, registry
    from zoo.inference import exported

    file = exported.find(pathlib.Path(path))
    if file is None and not pathlib.Path(path).exists() and registry.is_classifier(path):
        return {"path": path}
    if file is None:
        file = loading.find(path, checkpoint).files[0]
        file = file if file.exists() else file.with_name(f"{file.name}.index")  # of a checkpoint
    return _of_file(file)


def _of_file(file: pathlib.Path) -> dict[str, Any]:
    stat = file.stat()
    return {"path": str(file.absolute()), "bytes": stat.st_size, "modified": stat.st_mtime_ns}


def _folder(text: str) -> pathlib.Path:
    if not text:
        raise argparse.ArgumentTypeError("takes a folder; received an empty name")
    return pathlib.Path(text)


def _parser() -> terminal.Parser:
    parser = terminal.Parser(prog="zoo predict", description=_PREDICT)
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a weights file, the workdir of a run, an authors' file, or an exported SavedModel, "
        "TFLite, ONNX or OpenVINO file; vgg16_heatmap or vgg19_heatmap for Keras's weights",
    )
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="images and videos: files, folders, or patterns such as 'scans/*.tif'",
    )
    parser.add_argument(
        "--out",
        required=True,
        type=_folder,
        metavar="FOLDER",
        help="the folder of the answers; made if it is not there",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="WHICH",
        help="of a workdir: newest (default), best, or the step of a checkpoint",
    )
    parser.add_argument(
        "--head",
        metavar="NAME",
        help="of a net with several heads, the one that answers, such as geometric; of an "
        "ensemble that of all members",
    )
    parser.add_argument(
        "--depth",
        metavar="FOLDER",
        help="of a net of colour and depth: the folder with the depth of each image under its "
        "name, HHA for fcn32s_late_fusion, millimetres in 16 bits for fcn32s_early_fusion; or a "
        "file, of one image",
    )
    written = parser.add_argument_group("what else is written")
    written.add_argument(
        "--scores",
        action="store_true",
        help="NAME-probabilities.npy: float32 [height, width, classes]",
    )
    written.add_argument(
        "--heatmaps",
        nargs="+",
        default=(),
        metavar="CLASS",
        help="NAME-heatmaps.png: a map of the probability of each of these classes",
    )
    written.add_argument(
        "--font",
        type=terminal.font,
        metavar="FILE",
        help="a TrueType or OpenType file for the class names of the legend (default: Pillow's own "
        "font, or for a name with other letters one of this system that has them)",
    )
    group = methods.add_options(parser)
    group.add_argument(
        "--boxes",
        metavar="FILE",
        help="the proposals, instead of EdgeBoxes: lines NAME,X0,Y0,X1,Y1, the most likely first; "
        "NAME is that of an image without its ending",
    )
    return parser
