"""A fully connected CRF over the answer: neighbours and pixels of like colours agree.

Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials",
NIPS 2011, in the authors' own code, which pydensecrf2 wraps. The settings are those of DeconvNet's
release: Noh, Hong and Han, "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015.

pydensecrf2 is the same wrapper as pydensecrf, with a release that current Pythons can compile.
SimpleCRF wraps another program, and crfseg is an approximation of its own for PyTorch.
"""

import types

import numpy as np

from zoo import depths
from zoo.inference.probabilities import probabilities
from zoo.inference.scorers import PROBABILITIES, Scorer

CLIP = 1e-5  # probabilities below count as this one, as in pydensecrf's own unary_from_softmax
MAX_PIXELS = 1 << 22
"""Of an image. With 21 classes a pixel takes 0.6 kB where colours are alike, and 2 kB in noise."""


def crf(
    answer: Scorer,
    *,
    iterations: int = 10,
    smoothness_std: float = 3.0,
    smoothness_weight: float = 3.0,
    appearance_std: float = 20.0,
    appearance_colour_std: float = 3.0,
    appearance_weight: float = 5.0,
) -> Scorer:
    """A Scorer whose probabilities are those of `answer` after mean-field steps of a dense CRF.

    ```python
    refined = crf(answer, iterations=5)
    class_map = refined(image).argmax(-1)
    ```

    The unary energy is -log of the probability; both pairwise terms are Potts. Where `answer` says
    nothing (zeros or no numbers at all), every class has the same unary energy, so that the
    neighbours decide. Images have 1 or 3 channels with values from 0 to 255, beside a depth, which
    is left out; grey is repeated to RGB. Others have no appearance term: pass
    `appearance_weight=0`.

    A CRF sees the whole image. In tiles, whose margin is that of `answer` and 3 `appearance_std`,
    its answer is close to that of the whole image, and not the same.

    Args:
        answer: Of scores the softmax is taken first.
        iterations: Mean-field steps, at least 1.
        smoothness_std: Of the Gaussian of positions, in pixels.
        smoothness_weight: Of that term, 0 for none.
        appearance_std: Of the Gaussian of positions and colours, in pixels.
        appearance_colour_std: Of the same, in values of 0-255.
        appearance_weight: Of that term, 0 for none.

    Raises:
        ImportError: pydensecrf is not installed.
        ValueError: An option is invalid. When called: an image has other channels or values, or
            more than MAX_PIXELS.
    """
    stds = (smoothness_std, appearance_std, appearance_colour_std)
    weights = (smoothness_weight, appearance_weight)
    if iterations < 1 or not all(0 < std < np.inf for std in stds):
        raise ValueError(
            "A CRF has 1 iteration or more, and standard deviations above 0; received iterations="
            f"{iterations} and {stds}. Pass such numbers."
        )
    if not all(0 <= weight < np.inf for weight in weights) or not any(weights):
        raise ValueError(
            "A CRF has weights of 0 or more, one of them above 0; received smoothness_weight="
            f"{smoothness_weight} and appearance_weight={appearance_weight}. Pass such weights."
        )
    densecrf = _densecrf()
    inner = probabilities(answer)
    most = min(answer.max_pixels or MAX_PIXELS, MAX_PIXELS)

    def refined(image: np.ndarray, found: np.ndarray) -> np.ndarray:
        height, width, classes = found.shape
        field = densecrf.DenseCRF2D(width, height, classes)
        field.setUnaryEnergy(_unary(found))
        if smoothness_weight:
            field.addPairwiseGaussian(sxy=smoothness_std, compat=smoothness_weight)
        if appearance_weight:
            field.addPairwiseBilateral(
                sxy=appearance_std,
                srgb=appearance_colour_std,
                rgbim=_as_rgb(image),
                compat=appearance_weight,
            )
        after = np.asarray(field.inference(iterations), np.float32)
        return np.ascontiguousarray(after.T).reshape(height, width, classes)

    def answers(images: np.ndarray) -> np.ndarray:
        if images.shape[1] * images.shape[2] > most:
            raise ValueError(
                f"A CRF takes images of at most {most} pixels; received {images.shape[1]} × "
                f"{images.shape[2]}. Scale the image down, or leave the CRF out."
            )
        shown = depths.colours(images, answer.spec)
        if appearance_weight:
            _check_image(shown)
        pairs = zip(shown, inner.answer(images), strict=True)
        return np.stack([refined(image, found) for image, found in pairs])

    reach = max(smoothness_std, appearance_std if appearance_weight else 0)
    margin = answer.margin + int(np.ceil(3 * reach))
    return Scorer(answers, answer.spec, margin, answer.stride, PROBABILITIES, most)


def _unary(found: np.ndarray) -> np.ndarray:
    """Energies float32 `[classes, pixels]`."""
    energy = np.ascontiguousarray(found.reshape(-1, found.shape[-1]).T, np.float32)
    sums = energy.sum(0)
    if not (np.isfinite(sums) & (sums > 0)).all():
        energy[:, ~(np.isfinite(sums) & (sums > 0))] = 1 / len(energy)
    np.clip(energy, CLIP, 1, out=energy)
    np.log(energy, out=energy)
    return np.negative(energy, out=energy)


def _check_image(images: np.ndarray) -> None:
    channels = images.shape[-1]
    if channels not in (1, 3):
        raise ValueError(
            "The appearance term of a CRF compares colours: images have 1 or 3 channels; received "
            f"{channels}. Pass appearance_weight=0, which leaves out that term."
        )
    if images.dtype != np.uint8 and not (images.min() >= 0 and images.max() <= 255):
        raise ValueError(
            f"The values of an image are from 0 to 255; received {images.min():g} to "
            f"{images.max():g}. Scale the image, or pass appearance_weight=0."
        )


def _as_rgb(image: np.ndarray) -> np.ndarray:
    """uint8 `[h, w, 3]`, in memory of its own: the library takes none that is read-only."""
    image = image if image.dtype == np.uint8 else np.rint(image).astype(np.uint8)
    return np.array(np.broadcast_to(image, (*image.shape[:2], 3)), order="C")


def _densecrf() -> types.ModuleType:
    try:
        import pydensecrf.densecrf
    except ImportError as error:
        raise ImportError(
            f"A CRF needs pydensecrf, which is not installed ({error}). Install it: "
            'pip install "segmentation-zoo[crf]". It is compiled: a C++ compiler is needed.'
        ) from error
    return pydensecrf.densecrf
