"""EdgeBoxes: the windows of an image that are most likely to hold a whole object.

Zitnick and Dollár, "Edge Boxes: Locating Object Proposals from Edges", ECCV 2014: OpenCV's
implementation with the paper's settings.

Deviation:
- Without a model file the edges are the largest gradient over the channels of the smoothed image.
  The paper takes them from a structured forest; OpenCV ships no trained one.
"""

import functools
import os
import pathlib
import types

import numpy as np

SMOOTH = 2.0  # standard deviation of the Gaussian, in pixels


def edge_boxes(
    image: np.ndarray, *, most: int = 2000, edges: str | os.PathLike | None = None
) -> np.ndarray:
    """Boxes x0, y0, x1, y1 of an image, int32 `[boxes, 4]`, the most likely first.

    Args:
        image: uint8 `[h, w, channels]`, or of another type with values from 0 to 255.
        most: The largest number of boxes.
        edges: The file of a structured forest, such as OpenCV's `model.yml.gz`, that finds the
            edges of RGB images. None for gradients.

    Raises:
        ImportError: OpenCV with its contributed modules is not installed.
        ValueError: `edges` is no file of a structured forest, or the image is not RGB.
    """
    cv2 = _opencv()
    strength, turn = _gradients(cv2, image) if edges is None else _forest(cv2, image, edges)
    found, _ = cv2.ximgproc.createEdgeBoxes(maxBoxes=most).getBoundingBoxes(strength, turn)
    boxes = np.reshape(found, (-1, 4)).astype(np.int32)  # x, y, width and height
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _gradients(cv2: types.ModuleType, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How strong an edge is at each pixel, 0-1, and its angle from 0 to pi."""
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), SMOOTH)
    # OpenCV drops the axis of a single channel.
    across, down = (
        np.atleast_3d(cv2.Sobel(smooth, cv2.CV_32F, *order)) for order in ((1, 0), (0, 1))
    )
    strongest = np.hypot(across, down).argmax(-1)[..., np.newaxis]
    across, down = (np.take_along_axis(x, strongest, -1)[..., 0] for x in (across, down))
    strength, turn = np.hypot(across, down), np.arctan2(down, across)
    # Thin the edges: a pixel stays if neither neighbour across the edge is stronger.
    y, x = np.indices(strength.shape, np.float32)
    sides = [
        cv2.remap(strength, x + step * np.cos(turn), y + step * np.sin(turn), cv2.INTER_LINEAR)
        for step in (1, -1)
    ]
    thin = np.where(strength >= np.maximum(*sides), strength, 0) / max(strength.max(), 1e-6)
    return thin, turn % np.pi


def _forest(
    cv2: types.ModuleType, image: np.ndarray, file: str | os.PathLike
) -> tuple[np.ndarray, np.ndarray]:
    """As `_gradients`, of a structured forest."""
    if image.shape[-1] != 3:
        raise ValueError(
            f"A structured forest finds the edges of RGB images; received {image.shape[-1]} "
            "channels. Leave edges out: gradients are found in any image."
        )
    forest = _read_forest(cv2, pathlib.Path(file))
    found = forest.detectEdges(np.ascontiguousarray(image, np.float32) / 255)
    turn = forest.computeOrientation(found)
    return forest.edgesNms(found, turn), turn


@functools.lru_cache(maxsize=1)  # reading it takes longer than finding the boxes of an image
def _read_forest(cv2: types.ModuleType, file: pathlib.Path) -> object:
    try:
        if not file.is_file():
            raise FileNotFoundError("there is no such file")
        return cv2.ximgproc.createStructuredEdgeDetection(str(file))
    except (OSError, cv2.error) as error:
        raise ValueError(
            f"{file}: edges is the file of a structured forest that OpenCV reads ({error}). Pass "
            "OpenCV's model.yml.gz, or leave edges out, which takes gradients."
        ) from error


def _opencv() -> types.ModuleType:
    try:
        import cv2
        import cv2.ximgproc
    except ImportError as error:
        raise ImportError(
            f"EdgeBoxes need OpenCV's contributed modules, which are not installed ({error}). "
            'Install them: pip install "segmentation-zoo[proposals]", or give a list of boxes.'
        ) from error
    return cv2
