"""Asks a TFLite file through MediaPipe's ImageSegmenter, without TensorFlow's Python."""

import contextlib
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np

from exports.runtimes import Ask


@contextlib.contextmanager
def loaded(path: pathlib.Path) -> Iterator[Ask]:
    """A loaded file, which takes one image at a time.

    `image` uint8 `[1, h, w, 3]` gives `class_map` uint8 `[1, h, w]`, `probabilities` float32
    `[1, h, w, classes]` and the `labels` of the classes.

    Raises:
        ImportError: MediaPipe is not installed.
        ValueError, RuntimeError: MediaPipe refuses the file.
    """
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageSegmenterOptions(
        base_options=BaseOptions(model_asset_path=str(path)),
        output_category_mask=True,
        output_confidence_masks=True,
    )
    with vision.ImageSegmenter.create_from_options(options) as segmenter:

        def ask(signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            (image,) = inputs["image"]
            found = segmenter.segment(mediapipe.Image(mediapipe.ImageFormat.SRGB, image))
            size = image.shape[:2]
            masks = [mask.numpy_view().reshape(size) for mask in found.confidence_masks]
            return {
                "class_map": found.category_mask.numpy_view().reshape(1, *size).copy(),
                "probabilities": np.stack(masks, axis=-1)[None],
                "labels": np.array(segmenter.labels),
            }

        yield ask
