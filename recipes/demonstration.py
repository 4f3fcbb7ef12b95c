"""`python -m recipes.demonstration`: from a photograph to an exported model that answers.

Trains `coins_unet`, prints its scores on the held-out part of the photograph beside those of two
simple answers, exports the model as a SavedModel and as a TFLite file, and asks the SavedModel for
the mask of the whole photograph.
"""

import io
import pathlib
import sys
import time
from typing import Any

from recipes import runs
from zoo import files, quiet, terminal
from zoo import workdir as workdirs

RUN = "coins_unet"


def main(arguments: list[str] | None = None) -> int:
    """Runs the demonstration; run again, it goes on where it was stopped."""
    parser = terminal.Parser(prog="python -m recipes.demonstration", description=__doc__)
    parser.add_argument(
        "--workdir", type=pathlib.Path, required=True, help="the folder of all that it writes"
    )
    workdir = parser.parse_args(arguments).workdir
    return terminal.run(lambda: _print_files(workdir), prog=parser.prog, failures=(Exception,))


def _print_files(workdir: pathlib.Path) -> int:
    terminal.tell("\n".join(["\nwritten:", *(f"  {file}" for file in demonstrate(workdir))]))
    command = pathlib.Path(sys.executable).with_name("zoo")
    terminal.tell(
        f"Next: {command} predict {workdir} YOUR-PHOTOGRAPH.jpg --out answers\n"
        "finds the coins in a photograph of your own, and draws them."
    )
    return 0


def demonstrate(workdir: pathlib.Path) -> list[pathlib.Path]:
    """Trains, scores, exports and asks; returns the files and folders that it wrote."""
    quiet.import_tensorflow()
    import numpy as np

    import exports
    import zoo.pictures
    from recipes.data.sets import coins
    from recipes.training.train import train

    began = time.monotonic()
    model = train(runs.find(RUN), workdir)
    _compare(model, coins.load(workdir)["val"])
    photograph = coins.photograph()[..., np.newaxis]
    exported = exports.export(
        model,
        workdir / "served",
        ("saved_model", "tflite"),
        size=photograph.shape[:2],
        weights=workdir / workdirs.WEIGHTS,
        images=photograph[np.newaxis],
        report=_say,
    )
    served, lite = exported.values()
    _say(f"Asking {served} about the whole photograph")
    class_map = ask(served, photograph)
    mask = zoo.pictures.save_class_map(workdir / "mask.png", class_map)
    overlay = workdir / "overlay.png"
    with files.replacing(overlay) as unfinished:
        zoo.pictures.overlay(
            photograph, class_map, model.spec.names, background=model.spec.background
        ).save(unfinished)
    _say(f"done in {time.monotonic() - began:.0f} s")
    return [workdir / workdirs.WEIGHTS, workdir / "log.csv", served, lite, mask, overlay]


def _compare(model: Any, held_out: Any) -> None:
    """Prints the scores of the model, of no coin at all and of Otsu's threshold."""
    import numpy as np
    from skimage.filters import threshold_otsu

    from recipes import scoring
    from recipes.data.sets import coins
    from recipes.evaluation.table import as_table

    threshold = int(threshold_otsu(coins.photograph()))
    answers = {
        "U-Net": scoring.of_model(model),
        "all background": lambda image: np.zeros(image.shape[:2], np.uint8),
        "Otsu": lambda image: (image[..., 0] > threshold).astype(np.uint8),
    }
    print(f"\nthe held-out part of the photograph (Otsu's threshold of the whole: {threshold})")
    scores = {name: scoring.measure(answer, held_out) for name, answer in answers.items()}
    print(as_table(scores, held_out.class_names), end="\n\n")


def ask(saved_model: pathlib.Path, image: Any) -> Any:
    """The class map of an image by the signature `mask_png` of a SavedModel on the disk."""
    import tensorflow as tf
    from PIL import Image

    from zoo.images import read_class_map

    png = io.BytesIO()
    Image.fromarray(image[..., 0]).save(png, "PNG")
    loaded = tf.saved_model.load(str(saved_model))
    answer = loaded.signatures["mask_png"](image_bytes=tf.constant([png.getvalue()]))
    if not answer["valid"][0]:
        raise ValueError(f"{saved_model} refused the photograph. Export the model again.")
    mask = answer["mask_png_bytes"][0].numpy()
    return read_class_map(mask)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
