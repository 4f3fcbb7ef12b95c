"""EdgeBoxes: the windows of an image that are most likely to hold a whole object.

Zitnick and Dollár, "Edge Boxes: Locating Object Proposals from Edges", ECCV 2014: OpenCV's
implementation with the paper's settings.

Deviation:
- The edges are the largest gradient over the channels of the smoothed image. The paper takes them
  from a structured forest; OpenCV ships no trained one.
"""

import types

import numpy as np

from recipes.data.dataset import DataError

SMOOTH = 2.0  # standard deviation of the Gaussian, in pixels


def edge_boxes(image: np.ndarray, *, most: int = 2000) -> np.ndarray:
    """Boxes x0, y0, x1, y1 of an image, int32 `[boxes, 4]`, the most likely first.

    Args:
        image: uint8 `[h, w, 3]`.
        most: The largest number of boxes.

    Raises:
        DataError: OpenCV with its contributed modules is not installed.
    """
    cv2 = _opencv()
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), SMOOTH)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    strongest = np.hypot(across, down).argmax(-1)[..., np.newaxis]
    across, down = (np.take_along_axis(x, strongest, -1)[..., 0] for x in (across, down))
    strength, turn = np.hypot(across, down), np.arctan2(down, across)
    # Thin the edges: a pixel stays if neither neighbour across the edge is stronger.
    y, x = np.indices(strength.shape, np.float32)
    sides = [
        cv2.remap(strength, x + step * np.cos(turn), y + step * np.sin(turn), cv2.INTER_LINEAR)
        for step in (1, -1)
    ]
    edges = np.where(strength >= np.maximum(*sides), strength, 0) / max(strength.max(), 1e-6)
    found, _ = cv2.ximgproc.createEdgeBoxes(maxBoxes=most).getBoundingBoxes(edges, turn % np.pi)
    boxes = np.reshape(found, (-1, 4)).astype(np.int32)  # x, y, width and height
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _opencv() -> types.ModuleType:
    try:
        import cv2
        import cv2.ximgproc
    except ImportError as error:
        raise DataError(
            f"EdgeBoxes need OpenCV's contributed modules, which are not installed ({error}). "
            "Install opencv-contrib-python-headless<5, the extra 'proposals', or give a "
            "list of boxes."
        ) from error
    return cv2
