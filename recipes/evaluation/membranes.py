"""Scores of the cells that membranes separate, as those of the ISBI challenge on EM images.

Arganda-Carreras et al., "Crowdsourcing the creation of image segmentation algorithms for
connectomics", Frontiers in Neuroanatomy 2015. Cells are regions of connected pixels that are no
membrane. One wrong pixel that opens a membrane merges two cells: the IoU hardly changes, these
scores do.

    V_Rand = Σ_ij p_ij² / (½ Σ_i t_i² + ½ Σ_j s_j²)

p_ij is the share of the pixels that are in cell i of the truth and in cell j of the answer; t_i and
s_j are its sums over j and i. Only pixels in a true cell count, and each of them that the answer
calls membrane is a cell of its own. The score is the mean over the images, and the highest over the
thresholds of the probability of a cell, one threshold for all images. Before "thin" is scored, the
cells of the answer grow into the membrane until a line of one pixel is left, so that the width of
membranes does not matter: the challenge ranks by this score since 2015. As its program in Fiji
does, the growing is a watershed, and pixels are neighbours by their edges.

The adapted Rand error and the variation of information are scikit-image's, of the class map as it
is, for the pixels in true cells. scikit-image takes all pixels of membrane for one cell and leaves
out pairs of a pixel with itself, so that its error is not 1 − V_Rand.

The warping error of 2012 is left out. The challenge has replaced it by V_Rand, and it needs a
search for the deformation that changes no connection of a cell.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

THRESHOLDS = np.arange(10) / 10
"""A pixel is in a cell if the probability of a cell is above one of these."""


class ImageScores(NamedTuple):
    """The scores of an image; those of V_Rand for each of `THRESHOLDS`."""

    v_rand_thin: np.ndarray
    v_rand: np.ndarray
    adapted_rand_error: float
    variation_of_information: float


def class_of(name: str, class_names: Sequence[str]) -> int:
    """The number of the class that is the membrane.

    Raises:
        ValueError: There is no such class, or there are not two.
    """
    names = ", ".join(class_names)
    if len(class_names) != 2:
        raise ValueError(
            "--membrane is for two classes, membranes and cells; the data set has "
            f"{len(class_names)}: {names}. Leave it out."
        )
    if name not in class_names:
        raise ValueError(f"--membrane is one of {names}; received {name!r}. Pass one of them.")
    return class_names.index(name)


def of_image(label: np.ndarray, cell_probability: np.ndarray, *, cell: int) -> ImageScores | None:
    """The scores of one image; None if its label shows no cell.

    Args:
        label: Class map `[h, w]`; membrane and void are in no cell.
        cell_probability: Float `[h, w]`.
        cell: The class of cells.

    Raises:
        ImportError: scikit-image is not installed.
    """
    label_regions, metrics = _tools()
    truth = label_regions(label == cell)[0]
    if not truth.any():
        return None
    answers = [cell_probability > threshold for threshold in THRESHOLDS]
    segments = label_regions(cell_probability > 0.5)[0]
    return ImageScores(
        np.array([v_rand(truth, thinned(answer)) for answer in answers]),
        np.array([v_rand(truth, label_regions(answer)[0]) for answer in answers]),
        metrics.adapted_rand_error(truth, segments)[0],
        metrics.variation_of_information(truth, segments, ignore_labels=(0,)).sum(),
    )


def scores(images: Sequence[ImageScores]) -> dict[str, float]:
    """The scores over images, by their names; NaN without an image.

    `v_rand_thin` and `v_rand` are 1 for a perfect answer, `adapted_rand_error` and
    `variation_of_information`, in bits, are 0.
    """
    if not images:
        return dict.fromkeys(ImageScores._fields, float("nan"))
    means = {name: np.mean([getattr(one, name) for one in images], 0) for name in images[0]._fields}
    return {name: float(np.max(mean)) for name, mean in means.items()}


def v_rand(truth: np.ndarray, segments: np.ndarray) -> float:
    """The V_Rand of an image.

    >>> two = np.array([[1, 1, 0, 2, 2]])
    >>> v_rand(two, two)
    1.0
    >>> v_rand(two, np.ones_like(two))  # of 4² pairs in the answer 2 · 2² are in one true cell
    0.6666666666666666

    Args:
        truth: The number of the cell of each pixel, int `[h, w]`; 0 is not counted. It has a cell.
        segments: The same of the answer; 0 is membrane.
    """
    inside = truth > 0
    truth, segments = truth[inside].astype(np.int64), segments[inside].astype(np.int64)
    is_cell = segments > 0
    alone = int((~is_cell).sum())  # each a cell of one pixel
    pairs = truth * (segments.max() + 1) + segments
    both = _squares(pairs[is_cell]) + alone
    return 2 * both / (_squares(truth) + _squares(segments[is_cell]) + alone)


def thinned(cells: np.ndarray) -> np.ndarray:
    """The numbers of cells bool `[h, w]` that have grown until lines of one pixel, 0, part them.

    Raises:
        ImportError: scikit-image is not installed.
    """
    label_regions, _ = _tools()
    from skimage.segmentation import watershed

    markers, count = label_regions(cells)
    if not count:
        return markers
    return watershed(np.where(cells, 0, 1), markers, connectivity=1, watershed_line=True)


def _squares(numbers: np.ndarray) -> int:
    """The sum of the squared counts of each number."""
    return int((np.unique(numbers, return_counts=True)[1].astype(np.int64) ** 2).sum())


def _tools():
    """SciPy's labelling of regions, and scikit-image's metrics.

    Raises:
        ImportError: They are not installed; the message says how to install them.
    """
    try:
        from scipy.ndimage import label
        from skimage import metrics
    except ImportError as error:
        raise ImportError(
            "The scores of membranes need scikit-image, which is not installed. Install it: pip "
            'install "segmentation-zoo[recipes]".'
        ) from error
    return label, metrics
