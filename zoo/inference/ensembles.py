"""One answer of several Scorers: their mean, or their product.

Noh, Hong and Han, "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015, Section
4.4: the mean of the probabilities of DeconvNet and FCN-8s. The authors' release multiplies their
scores instead; "release" does so.
"""

import math
from collections.abc import Sequence

import numpy as np

from zoo.inference.probabilities import probabilities, softmax
from zoo.inference.scorers import PROBABILITIES, SCORES, Scorer
from zoo.spec import Spec

MEAN, PRODUCT, RELEASE = "mean", "product", "release"
_SMALLEST = np.float32(1e-30)  # a probability of 0 excludes a class, but leaves a logarithm


def ensemble(
    scorers: Sequence[Scorer], *, weights: Sequence[float] | None = None, how: str = MEAN
) -> Scorer:
    """The Scorer of several Scorers of the same classes and channels.

    ```python
    both = ensemble([deconvnet, fcn8s], weights=[2, 1])
    class_map = both(image).argmax(-1)
    ```

    Args:
        scorers: The members. Class names, background and colours are those of the first member
            that knows its class names; members that do not know them are held to the number.
        weights: Of each member, positive; 1 by default.
        how: "mean", the paper's: the weighted mean of the probabilities. "product": of the
            probabilities, each to the power of its weight, scaled so that classes add up to 1.
            "release", of members that give scores, without weights: the product of the scores,
            negative ones taken as 0, and its softmax.

    Returns:
        A Scorer of probabilities, with the margin and the stride that suffice for all members.

    Raises:
        ValueError: The members differ in their classes or channels, or an option is invalid.
    """
    if how not in (MEAN, PRODUCT, RELEASE):
        raise ValueError(f"how is mean, product or release; received {how!r}. Pass one.")
    spec = _checked_spec(scorers)
    if how == RELEASE:
        _check_release(scorers, weights)
    weights = _checked_weights(weights, len(scorers))
    inner = scorers if how == RELEASE else [probabilities(one) for one in scorers]
    shares = weights / weights.sum() if how == MEAN else weights

    def joined(images: np.ndarray) -> np.ndarray:
        total = None
        for one, share in zip(inner, shares, strict=True):
            found = one.answer(images).astype(np.float32)
            if how == RELEASE:
                found = np.maximum(found, 0)
                total = found if total is None else total * found
                continue
            found = share * (np.log(np.maximum(found, _SMALLEST)) if how == PRODUCT else found)
            total = found if total is None else total + found
        return total if how == MEAN else softmax(total)

    limits = [one.max_pixels for one in scorers if one.max_pixels is not None]
    return Scorer(
        joined,
        spec,
        margin=max(one.margin for one in scorers),
        stride=math.lcm(*(one.stride for one in scorers)),
        gives=PROBABILITIES,
        max_pixels=min(limits, default=None),
    )


def _checked_spec(scorers: Sequence[Scorer]) -> Spec:
    if not scorers:
        raise ValueError("An ensemble has at least one member; received none. Pass a Scorer.")
    specs = [one.spec for one in scorers]
    best = next((spec for spec in specs if spec.class_names is not None), specs[0])
    for number, spec in enumerate(specs, 1):
        if spec.channels != best.channels:
            raise ValueError(
                f"The members of an ensemble take images of the same channels; member {number} "
                f"({spec.model}) takes {spec.channels}, {best.model} takes {best.channels}. Leave "
                "one of them out."
            )
        if spec.classes != best.classes or spec.class_names not in (None, best.class_names):
            pairs = zip(spec.names, best.names, strict=False)
            first = next((at for at, (one, other) in enumerate(pairs) if one != other), None)
            raise ValueError(
                "The members of an ensemble have the same classes in the same order; member "
                f"{number} ({spec.model}) has {_told(spec, first)}, {best.model} has "
                f"{_told(best, first)}. Leave one of them out, or train it on the same classes."
            )
    return best


def _told(spec: Spec, number: int | None) -> str:
    """How many classes there are, and the name of the one at which two lists differ."""
    name = "" if number is None else f" with {spec.names[number]!r} as class {number}"
    return f"{spec.classes} classes{name}"


def _checked_weights(weights: Sequence[float] | None, count: int) -> np.ndarray:
    weights = [1.0] * count if weights is None else list(weights)
    if len(weights) != count or not all(0 < weight < math.inf for weight in weights):
        raise ValueError(
            f"weights are positive numbers, one for each of the {count} members; received "
            f"{weights}. Pass such numbers, or leave weights out."
        )
    return np.array(weights, np.float32)


def _check_release(scorers: Sequence[Scorer], weights: Sequence[float] | None) -> None:
    if weights is not None:
        raise ValueError(
            f"how='release' has no weights; received {list(weights)}. Leave weights out, or pass "
            "how='product'."
        )
    for number, one in enumerate(scorers, 1):
        if one.gives != SCORES:
            raise ValueError(
                f"how='release' multiplies scores; member {number} ({one.spec.model}) gives "
                f"{one.gives}. Make it with scorer(model, scores=True), or pass how='product'."
            )
