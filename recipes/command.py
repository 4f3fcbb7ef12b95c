"""The commands `zoo train`, `verify`, `evaluate` and `bounds`; they import what is heavy late."""

import argparse
import contextlib
import json
import math
import os
import pathlib
import sys
from typing import Any

from zoo import quiet, terminal
from zoo.inference import methods

_EVALUATE = """\
Scores trained models and exported files on a data set. A PATH is a workdir, a weights file, or an
exported SavedModel, TFLite, ONNX or OpenVINO file. Each is a column of the table. Every image of
the split is scored at the size of its label, and all pixels of the split go into one confusion
matrix. IoU, intersection over union, is the Jaccard index, and Dice is F1. Boundary IoU counts only
the pixels near the contours of each class. V_Rand is the score of the ISBI challenge for cells that
membranes separate: whether two pixels of a cell are found in one cell, at the best threshold of the
probability; v_rand_thin is that of membranes of one pixel. The options by which an image is
answered are those of zoo predict."""

_JSON = """\
With --json an object is printed, and progress goes to the standard error:
  data, split, images    the data set's name, the split, and the number of images
  left_out               the classes that mean_iou leaves out since no label of the split shows them
  method                 the options by which images are answered; empty for none
  scores                 for each PATH:
    file                 the file or folder that was read
    pixel_accuracy, mean_accuracy, mean_iou, frequency_weighted_iou
    iou_per_class, precision_per_class, recall_per_class, dice_per_class
                         for each class, by its name
    mean_boundary_iou, boundary_iou_per_class
                         with --boundary
    v_rand_thin, v_rand, adapted_rand_error, variation_of_information
                         with --membrane; the last one is in bits
Other scores are numbers from 0 to 1, or null if there is no pixel to count. For nets with several
heads the object is {"heads": {NAME: such an object}}."""


def train(arguments: list[str]) -> int:
    """`zoo train`: trains or resumes a run, or lists the runs."""
    return terminal.run(lambda: _train(arguments), prog="zoo train")


def _train(arguments: list[str]) -> int:
    from recipes import options

    given = options.parse(arguments)
    if given.help:
        print(options.help_text(given.name), end="")
    elif given.list or given.workdir is None:
        print(options.list_text())
    else:
        command = options.command(given)
        quiet.import_tensorflow()
        from recipes.training.train import main

        return main(**vars(command))
    return 0


def verify(arguments: list[str]) -> int:
    """`zoo verify`: reads every file of a data set; status 1 if an example cannot be used."""
    from recipes import data
    from recipes.data import writing
    from recipes.data.verify import table
    from recipes.data.verify import verify as read_all

    parser = terminal.Parser(
        prog="zoo verify",
        description="Reads every file of a data set. Prints for each split the number of examples, "
        "their sizes and\nthe pixels of each class, or names each file that cannot be used. The "
        "SHA-256 is over the class\nnames, images and labels; a run keeps it in its recipe.json.",
    )
    parser.add_argument("name", choices=data.NAMES, metavar="NAME", help=", ".join(data.NAMES))
    parser.add_argument("folder", type=pathlib.Path, metavar="DIR", help="the folder of its files")
    parser.add_argument(
        "--write-indices",
        type=pathlib.Path,
        metavar="NEW",
        help="of a folder: write it as a new one, whose masks hold class indices and no colours",
    )
    given = parser.parse_args(arguments)
    if given.write_indices and given.name != "folder":
        parser.error("--write-indices is for a folder: zoo verify folder DIR --write-indices NEW")

    def run() -> int:
        if given.write_indices and os.path.lexists(given.write_indices):
            raise FileExistsError(f"{given.write_indices} exists already. Choose another name.")
        splits = data.load(given.name, given.folder)
        found = read_all(splits, shown=None)
        for split, examined in found.items():
            print(table(splits[split], examined))
        if given.write_indices:
            writing.write_indices(
                {split: one.dataset for split, one in found.items()}, given.write_indices
            )
            terminal.tell(f"written: {given.write_indices}")
        return 0

    return terminal.run(run, prog="zoo verify", failures=(data.DataError,))


def evaluate(arguments: list[str]) -> int:
    """`zoo evaluate`: the scores of trained models and exported files."""
    given = _evaluate_parser().parse_args(arguments)
    return terminal.run(lambda: _evaluate(given), prog="zoo evaluate", failures=(MemoryError,))


def _evaluate(given: argparse.Namespace) -> int:
    quiet.import_tensorflow()
    from recipes.evaluation import confusion, gallery, results
    from recipes.evaluation.evaluate import heads as heads_of_all

    method = methods.of_options(given)
    for path in given.paths:
        methods.warn_of_twins(str(path), given.ensemble)
    how = ", ".join(filter(None, [method.told(), *(f"ensemble={x}" for x in given.ensemble)]))
    if given.record:
        results.check(given.paths, given.checkpoint)
    for file in given.confusion:
        confusion.check(file)
    if given.gallery:
        gallery.check(given.gallery)
    heads = [given.head] if given.head else heads_of_all(given.paths, checkpoint=given.checkpoint)
    written = "--confusion" if given.confusion else "--gallery" if given.gallery else None
    if written and len(heads) > 1:
        raise ValueError(
            f"{written} writes a file for one head; {given.paths[0]} has "
            f"{' and '.join(heads)}. Pass --head {heads[0]} too."
        )
    objects = {head: _score(given, method, how, head) for head in heads}
    if given.json:
        one = objects[heads[0]] if len(heads) == 1 else {"heads": objects}
        print(json.dumps(one, indent=2))
    return 0


def _score(
    given: argparse.Namespace, method: methods.Method, how: str, head: str | None
) -> dict[str, Any]:
    """Scores a head of all paths, and writes what is asked for; gives the object of --json."""
    from recipes import scoring
    from recipes.evaluation import confusion, gallery, results
    from recipes.evaluation.evaluate import evaluate as score
    from recipes.evaluation.evaluate import member
    from recipes.evaluation.table import as_json, as_table

    # The standard output is for the JSON alone.
    with contextlib.redirect_stdout(sys.stderr if given.json else sys.stdout):
        dataset, found = score(
            given.paths,
            method=method,
            others=[member(path, head) for path in given.ensemble],
            head=head,
            data_name=given.data,
            data_dir=given.data_dir,
            split=given.split,
            boundary=given.boundary,
            membrane=given.membrane,
            with_baselines=given.baselines,
            channels=given.channels,
            checkpoint=given.checkpoint,
            model=given.model,
            options=given.options,
        )
    scores = {path: one.scores for path, one in found.items()}
    left_out = scoring.left_out(next(iter(found.values())).matrix, dataset)
    if not given.json:
        images = terminal.counted(len(dataset), "image")
        of_head = f", head {head}" if head else ""
        told = f"; answered with {how}" if how else ""
        terminal.tell(f"{dataset.name}, split {dataset.split}, {images}{of_head}{told}")
        table = as_table(scores, dataset.class_names, left_out=left_out)
        print(terminal.printable(table))
    for file in given.confusion:
        matrices = {path: one.matrix for path, one in found.items()}
        confusion.write(file, matrices, dataset.class_names)
        print(terminal.printable(f"written: {file}"), file=sys.stderr)
    if given.gallery:
        gallery.write(given.gallery, dataset, found)
        print(terminal.printable(f"written: {given.gallery}"), file=sys.stderr)
    if given.record:
        file = results.add(given.paths[0], dataset, scores[str(given.paths[0])])
        for name, one in found.items():
            if one.scored.file is None:
                results.add_baseline(name, dataset, one.scores)
        print(terminal.printable(f"added to {file}"), file=sys.stderr)
    return {
        **{"data": dataset.name, "split": dataset.split, "images": len(dataset)},
        **{"left_out": left_out, "method": how},
        "scores": {
            path: {
                "file": one.scored.file and str(one.scored.file),
                **as_json(one.scores, dataset.class_names),
            }
            for path, one in found.items()
        },
    }


def _evaluate_parser() -> argparse.ArgumentParser:
    parser = terminal.Parser(prog="zoo evaluate", description=_EVALUATE, epilog=_JSON)
    parser.add_argument("paths", nargs="+", type=pathlib.Path, metavar="PATH")
    model = parser.add_argument_group("what is loaded")
    model.add_argument(
        "--checkpoint",
        metavar="WHICH",
        help="of a workdir: newest, best, or the step of a checkpoint (default: newest)",
    )
    model.add_argument("--model", help="name in the zoo, for a weights file that does not say it")
    model.add_argument(
        "--head",
        metavar="NAME",
        help="of nets with several heads, the one to score (default: each, in a table of its own)",
    )
    model.add_argument(
        "--options",
        type=terminal.json_object,
        default={},
        metavar="JSON",
        help="options of the model, for a weights file that does not say them",
    )
    methods.add_options(parser)
    data = parser.add_argument_group("data and output")
    data.add_argument(
        "--data",
        metavar="NAME",
        help="the data set, as zoo verify --help lists them (default: that of the workdir)",
    )
    data.add_argument(
        "--data-dir", type=pathlib.Path, help="its folder (default: that of the run, or data)"
    )
    data.add_argument(
        "--split",
        choices=("train", "val", "test"),
        default="val",
        help="the part that is scored; test if the data set has one, as a folder with a test.txt "
        "(default: val)",
    )
    data.add_argument(
        "--boundary",
        type=terminal.positive,
        metavar="PIXELS",
        help="score the Boundary IoU too: of each class the pixels within this distance of its "
        "contours, such as 3",
    )
    data.add_argument(
        "--channels",
        type=terminal.positive,
        help="that the images of a folder are read with, such as 3 to repeat grey (default: those "
        "of the workdir's run; else as many as are stored)",
    )
    data.add_argument(
        "--membrane",
        metavar="CLASS",
        help="of data with two classes, the one that separates cells: score the cells, too "
        "(default: that of the EM images of isbi)",
    )
    data.add_argument(
        "--baselines",
        action="store_true",
        help="score two answers that need no net, too: the most frequent class of the training "
        "labels, and that of each place of the image",
    )
    data.add_argument("--json", action="store_true", help="print JSON instead of a table")
    data.add_argument(
        "--confusion",
        type=pathlib.Path,
        action="append",
        default=[],
        metavar="FILE",
        help="write the confusion matrix as a table (.csv, .md) or a picture (.png); repeatable",
    )
    data.add_argument(
        "--gallery",
        type=pathlib.Path,
        metavar="FILE",
        help="write a picture (.png, .jpg): the images whose answers by the first path have the "
        "best, the median and the worst mean IoU, each beside its label and all answers",
    )
    data.add_argument(
        "--record",
        action="store_true",
        help="add the scores of a finished run to docs/results.csv; in a clone only",
    )
    return parser


def bounds(arguments: list[str]) -> int:
    """`zoo bounds`: the mean IoU that labels themselves reach after down-sampling."""
    from recipes import data

    parser = terminal.Parser(
        prog="zoo bounds",
        description="The mean IoU that labels themselves reach when they are down-sampled by 128, "
        "64, 32, 16, 8 and 4\nand brought back: what a stride costs. Each cell becomes the class "
        "that most of its pixels have; void, 255,\nis not counted.",
    )
    parser.add_argument(
        "labels", type=pathlib.Path, metavar="LABELS", help="a folder of class maps, as PNG"
    )
    parser.add_argument(
        "--data",
        choices=data.NAMES,
        metavar="NAME",
        help="read LABELS as the folder of this data set, as zoo verify NAME DIR does",
    )
    parser.add_argument(
        "--split", choices=("train", "val", "test"), help="of the data set (default: val)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args(arguments)
    if given.split and given.data is None:
        parser.error("--split is of a data set. Pass its name as --data, or leave --split out.")
    return terminal.run(
        lambda: _bounds(given), prog="zoo bounds", failures=(data.DataError, data.ImageError)
    )


def _bounds(given: argparse.Namespace) -> int:
    quiet.import_tensorflow()
    from recipes import data
    from recipes.evaluation import bounds as measured
    from recipes.evaluation.evaluate import chosen
    from zoo.progress import told

    with contextlib.redirect_stdout(sys.stderr if given.json else sys.stdout):
        if given.data is None:
            paths = measured.class_map_files(given.labels)
            count, labels, classes = len(paths), measured.read_all(paths), measured.MAX_NUMBERS
        else:
            dataset = chosen(data.load(given.data, given.labels), given.split or "val")
            count, classes = len(dataset), len(dataset.class_names)
            labels = (dataset.example(index)[1] for index in range(count))
        found = measured.upper_bounds(
            told(labels, "down-sampling the labels", count), classes=classes
        )
    if given.json:
        scores = {factor: None if math.isnan(iou) else iou for factor, iou in found.items()}
        print(json.dumps({"labels": count, "mean_iou": scores}, indent=2))
    else:
        terminal.tell(f"{given.labels}, {terminal.counted(count, 'label')}")
        print(measured.as_table(found))
    return 0
