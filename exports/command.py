"""`zoo export`, `zoo check` and `zoo ask`.

Nothing heavy is imported before it is needed: a wrong option is told at once.
"""

import argparse
import os
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

from exports import parsers
from zoo import terminal
from zoo.spec import Spec


def export(arguments: list[str], *, representative: Callable[..., Any] | None = None) -> int:
    """`zoo export`; returns the exit status: 2 for a wrong request, 1 for a wrong file.

    `representative`, if given, reads images by the name of a data set; see `recipes.exporting`.
    """
    chosen = parsers.export_parser().parse_args(arguments)
    chosen.format = chosen.format or ["saved_model"]  # argparse would add to a default
    from exports.check.agreement import MismatchError
    from exports.runtimes import StatusError

    return terminal.run(
        lambda: _export(chosen, representative),
        prog="zoo export",
        failures=(MismatchError, StatusError),
    )


def check(arguments: list[str]) -> int:
    """`zoo check`; returns the exit status: 2 for a wrong request, 1 for a wrong version."""
    chosen = parsers.check_parser().parse_args(arguments)
    from exports.check.agreement import MismatchError
    from exports.runtimes import StatusError

    def run() -> int:
        if not chosen.version.is_dir():
            raise FileNotFoundError(
                "zoo check takes the folder of a SavedModel, such as served/unet/1; there is none "
                f"at {chosen.version}. The other formats are checked when they are written: run "
                "zoo export again."
            )
        _import_tensorflow()
        from exports.check.version import check_version

        check_version(
            chosen.version, weights=chosen.weights, image=chosen.image, report=_reporter()
        )
        return 0

    return terminal.run(run, prog="zoo check", failures=(MismatchError, StatusError))


def ask(arguments: list[str]) -> int:
    """`zoo ask`; returns the exit status: 2 for a wrong request, 1 for an image without a mask."""
    chosen = parsers.ask_parser().parse_args(arguments)
    # gRPC writes what a server does to it to the terminal, beside the error.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from exports.client import ServerError, write_masks

    def warn(line: str) -> None:
        print(f"zoo ask: {terminal.printable(line)}", file=sys.stderr, flush=True)

    def run() -> int:
        without = write_masks(
            chosen.images,
            chosen.out,
            url=chosen.url,
            model=chosen.model,
            head=chosen.head,
            timeout=chosen.timeout,
            retries=chosen.retries,
            version=chosen.version,
            label=chosen.label,
            headers=dict(chosen.header or ()),
            ca=chosen.ca,
            font=chosen.font,
            report=lambda path: print(terminal.printable(path), flush=True),
            warn=warn,
        )
        return terminal.FAILED if without else 0

    return terminal.run(run, prog="zoo ask", failures=(ServerError,))


def _export(chosen: argparse.Namespace, representative: Callable[..., Any] | None) -> int:
    from zoo import loading

    found = loading.find(chosen.path, chosen.checkpoint)
    spec = loading.specify(
        found,
        model=chosen.model,
        class_names=chosen.class_names,
        options=chosen.options,
        where=str(chosen.path),
    )
    options = _options(chosen, spec, representative)
    report = _reporter()
    _import_tensorflow()
    import exports

    report(f"Building {spec.model} with the weights of {chosen.path}")
    model, file = loading.build_found(found, spec, **chosen.options)
    paths = exports.export(
        model,
        chosen.out,
        chosen.format,
        head=chosen.head,
        version=chosen.version,
        weights=file if file.exists() else file.with_name(f"{file.name}.index"),
        report=report,
        **options,
    )
    for path in paths.values():
        print(terminal.printable(f"{_megabytes(path):8.2f} MB  {path}"), flush=True)
    if "saved_model" in paths:
        served = paths["saved_model"].parent
        print(
            terminal.printable(
                f"Next: serve {served.resolve()} with TensorFlow Serving "
                f"(--model_name={served.name} --model_base_path=...) and ask it with zoo ask, or "
                "load the version with tf.saved_model.load(...)."
            )
        )
    return 0


def _options(
    chosen: argparse.Namespace, spec: Spec, representative: Callable[..., Any] | None
) -> dict[str, Any]:
    """The keywords of `exports.export`, after the checks that need no TensorFlow."""
    from exports.formats.settings import (
        SIDE,
        Settings,
        check_depth,
        check_formats,
        check_heads,
        check_together,
    )
    from exports.graph import MAX_PIXELS
    from exports.graph.limits import Limits
    from zoo.images import read_image

    size = chosen.size and tuple(chosen.size)
    limits = Limits(
        spec.channels,
        max_pixels=chosen.max_pixels or MAX_PIXELS,
        max_batch=chosen.max_batch,
        max_bytes=chosen.max_bytes,
    )
    formats = check_formats(chosen.format)
    if chosen.head is not None and spec.heads:
        spec.of_head(chosen.head)  # an unknown head is told before anything is built
    check_heads(formats, () if chosen.head else spec.heads, spec.model)
    check_depth(formats, spec, dtype=chosen.dtype, quantize=chosen.quantize)
    options = {
        "size": size,
        "dtype": chosen.dtype,
        "quantize": chosen.quantize,
        "max_disagreement": chosen.max_disagreement,
        "fast": chosen.fast,
        "mediapipe_python": chosen.mediapipe_python,
    }
    options["images"] = chosen.image and read_image(chosen.image, channels=spec.channels)[None]
    options["representative"] = _representative(
        chosen, representative, channels=spec.channels, size=size or (SIDE, SIDE)
    )
    check_together(formats, Settings(limits=limits, **options))
    maxima = ("memory", "max_pixels", "max_batch", "max_bytes")
    return options | {name: getattr(chosen, name) for name in maxima}


def _representative(
    chosen: argparse.Namespace, of_data_set: Callable[..., Any] | None, **wanted: Any
) -> Any:
    """The representative images that were asked for, or those of the workdir's data set; or None.

    Raises:
        ValueError: There are none, or a folder of a data set without one.
    """
    from exports.formats import OF_IMAGES
    from exports.images import read_folder

    name, data_dir, found = chosen.representative, chosen.data_dir, None
    if of_data_set is not None and (name is not None or chosen.quantize in OF_IMAGES):
        found = of_data_set(pathlib.Path(chosen.path), name, data_dir, **wanted)
    if found is None and data_dir is not None:
        raise ValueError(
            f"--data-dir is the folder of a data set of representative images; received {data_dir} "
            "and no data set's name. Pass the name as --representative; zoo verify --help lists "
            "them."
        )
    if found is None and name is not None:
        return read_folder(name, **wanted)
    return found


def _import_tensorflow() -> None:
    from zoo.quiet import import_tensorflow

    import_tensorflow()


def _reporter() -> Callable[[str], None]:
    start = time.monotonic()

    def report(line: str) -> None:
        print(f"[{time.monotonic() - start:5.1f} s] {terminal.printable(line)}", flush=True)

    return report


def _megabytes(path: pathlib.Path) -> float:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6
