"""Sends images to TensorFlow Serving and writes the mask and an overlay of each.

python -m exports.client photograph.jpg --url http://localhost:8501 --model unet --out masks

`masks/photograph-mask.png` holds the class of each pixel, in a palette; `photograph-overlay.png`
shows the classes on the image, with a legend. Nothing is overwritten.
"""

import argparse
import importlib.util
import io
import pathlib
import sys
import types

import numpy as np
from PIL import Image

from exports.client.server import ServerError, connected


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; its exit status is 2 for a wrong request, 1 for an image without a mask."""
    chosen = _parser().parse_args(arguments)
    try:
        files = _targets(chosen.images, chosen.out)
        names = _class_names(chosen.class_names)
        failed = 0
        with connected(chosen.url, chosen.model, timeout=chosen.timeout) as ask:
            for path, targets in files.items():
                png = ask(path.read_bytes())
                if png is None:
                    failed += 1
                    print(
                        f"exports.client: {path}: the server cannot decode the image, or it is too "
                        "large (valid is 0). Send a whole JPEG or PNG file within the limits that "
                        "the model was exported with.",
                        file=sys.stderr,
                        flush=True,
                    )
                    continue
                _write(path, png, targets, names)
                print(*targets, sep="\n", flush=True)
    except ServerError as error:
        print(f"exports.client: {error}", file=sys.stderr)
        return 1
    except (ValueError, OSError, ImportError) as error:
        print(f"exports.client: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("exports.client: stopped; the masks that were written are whole", file=sys.stderr)
        return 130
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m exports.client",
        description="Asks a served model for the masks of images, and writes them with overlays.",
    )
    parser.add_argument("images", nargs="+", type=pathlib.Path, metavar="IMAGE", help="JPEG or PNG")
    parser.add_argument(
        "--url",
        default="http://localhost:8501",
        help="of the server: http://HOST:8501 (REST, the default: on this machine) or "
        "grpc://HOST:8500",
    )
    parser.add_argument("--model", required=True, metavar="NAME", help="as it is served")
    parser.add_argument(
        "--out", required=True, type=pathlib.Path, metavar="FOLDER", help="made if it is not there"
    )
    parser.add_argument(
        "--class-names",
        nargs="+",
        metavar="NAME",
        help="for the legend, in the order of the classes; or those of a data set by its name: "
        + ", ".join(_part_of_zoo("class_names").CLASS_NAMES),
    )
    parser.add_argument(
        "--timeout", type=float, default=60, metavar="SECONDS", help="of an image (default: 60)"
    )
    return parser


def _part_of_zoo(name: str) -> types.ModuleType:
    """`zoo.pictures` or `zoo.class_names`, which need nothing else of the zoo.

    Imported as usual, they come with all of it and TensorFlow: seconds, and 500 MB.
    """
    folder = pathlib.Path(importlib.util.find_spec("zoo").origin).parent
    spec = importlib.util.spec_from_file_location(f"zoo.{name}", folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _targets(
    images: list[pathlib.Path], out: pathlib.Path
) -> dict[pathlib.Path, tuple[pathlib.Path, pathlib.Path]]:
    """Mask and overlay of each image, none of which is there already."""
    files, taken = {}, {}
    for path in dict.fromkeys(images):
        if not path.is_file():
            raise FileNotFoundError(f"An image is a JPEG or PNG file; there is none at {path}.")
        targets = tuple(out / f"{path.stem}-{what}.png" for what in ("mask", "overlay"))
        there = [target for target in targets if target.exists()]
        if there:
            raise FileExistsError(
                f"Nothing is overwritten; {there[0]} is there already. Choose another --out, or "
                "move the file away."
            )
        if path.stem in taken:
            raise FileExistsError(
                f"Each image has a mask of its own name; {taken[path.stem]} and {path} would both "
                f"be {targets[0]}. Send them to two folders."
            )
        files[path], taken[path.stem] = targets, path
    return files


def _class_names(names: list[str] | None) -> list[str] | None:
    # No model has a single class, so that a single name cannot be a class's.
    data_sets = _part_of_zoo("class_names").CLASS_NAMES
    return list(data_sets.get(names[0], names)) if names and len(names) == 1 else names


def _write(
    path: pathlib.Path,
    png: bytes,
    targets: tuple[pathlib.Path, pathlib.Path],
    names: list[str] | None,
) -> None:
    pictures = _part_of_zoo("pictures")
    with Image.open(io.BytesIO(png)) as picture:
        class_map = np.array(picture)
    with Image.open(path) as picture:
        # Pillow would make white of most values of a 16-bit PNG; the model sees the upper 8 bits.
        sixteen = picture.mode.startswith("I")
        image = (
            (np.array(picture) >> 8).astype(np.uint8)
            if sixteen
            else np.array(picture.convert("RGB"))
        )
    if names is None:
        names = [f"class {number}" for number in range(class_map.max() + 1)]
    # Only some data sets begin with a background; of an unknown one it is assumed.
    background = 0 if names[0] in ("background", "class 0") else None
    mask, overlay = targets
    drawn = pictures.overlay(image, class_map, names, background=background)
    mask.parent.mkdir(parents=True, exist_ok=True)
    pictures.save_class_map(mask, class_map)
    unfinished = overlay.with_name(f"writing-{overlay.name}")
    drawn.save(unfinished)
    unfinished.rename(overlay)


if __name__ == "__main__":
    sys.exit(main())
