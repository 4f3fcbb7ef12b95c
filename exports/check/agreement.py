"""When a class map agrees with the model's scores.

A pixel agrees when its class is the one with the model's highest score. Another order of sums may
decide a tie otherwise: where two scores differ by no more than rounding, both classes are right.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

# A share of the range of the scores. Through the 29 normalized layers of a DeconvNet, TensorFlow
# and LiteRT were seen to differ by more than 2e-5.
ROUNDING = 1e-4
MAX_TIES = 0.0001  # a share of the pixels, but at least one; rounding alone makes fewer


class MismatchError(RuntimeError):
    """A file does not give the model's answers."""


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How one loader answered one signature.

    Args:
        loader: The loader's name.
        signature: The signature's.
        agreement: The share of the pixels with the model's class.
        ties: The number of pixels with another class whose score is the highest but for rounding.
        classes: The number of classes that occur.
    """

    loader: str
    signature: str
    agreement: float
    ties: int
    classes: int

    def __str__(self) -> str:
        ties = f" ({self.ties} others are ties)" * bool(self.ties)
        return (
            f"{self.loader}, {self.signature}: {self.agreement:.4%} of the pixels agree{ties}, "
            f"classes that occur: {self.classes}"
        )


@dataclasses.dataclass(frozen=True)
class NotChecked:
    """A loader that was not asked, and the reason."""

    loader: str
    not_checked: str

    def __str__(self) -> str:
        return f"{self.loader}: not checked: {self.not_checked}"


@dataclasses.dataclass(frozen=True)
class WarmedUp:
    """The number of warm-up requests that a loader answered: all of the file."""

    loader: str
    warm_up_requests: int

    def __str__(self) -> str:
        return f"{self.loader}: {self.warm_up_requests} warm-up requests answered"


@dataclasses.dataclass(frozen=True)
class Named:
    """The number of classes that a loader named as the model does: all of them."""

    loader: str
    class_names: int

    def __str__(self) -> str:
        return f"{self.loader}, class_names: all {self.class_names} classes"


Finding = Agreement | NotChecked | WarmedUp | Named


def as_record(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings as export.json has them, and the lowest agreement of all."""
    found = [finding.agreement for finding in findings if isinstance(finding, Agreement)]
    return {
        "checks": [dataclasses.asdict(finding) for finding in findings],
        "agreement": min(found, default=None),
    }


def compare(
    loader: str, signature: str, class_map: np.ndarray, scores: np.ndarray, *, least: float = 1
) -> Agreement:
    """Compares the class map `[n, h, w]` of a loader with the model's scores `[n, h, w, classes]`.

    Args:
        loader: The loader's name.
        signature: The signature's.
        class_map: The loader's answer.
        scores: The model's.
        least: The smallest share of the pixels that must agree, ties included.

    Raises:
        MismatchError: Fewer pixels agree, or more than 0.01 % of them, and than one, are ties.
    """
    expected = scores.argmax(-1)
    if class_map.shape != expected.shape or class_map.max() >= scores.shape[-1]:
        raise MismatchError(
            f"{loader}, {signature}: the class map is {list(class_map.shape)} with classes up to "
            f"{class_map.max()}; the model's is {list(expected.shape)} up to {scores.shape[-1] - 1}"
        )
    given = np.take_along_axis(scores, class_map[..., None].astype(np.int64), axis=-1)[..., 0]
    behind = (scores.max(-1) - given) / max(np.ptp(scores), np.finfo(np.float32).tiny)
    same, wrong = class_map == expected, behind > ROUNDING
    ties = int(np.sum(~same & ~wrong))
    most = max(1, int(MAX_TIES * same.size))
    if 1 - np.mean(wrong) < least or ties > most:
        raise MismatchError(
            f"{loader}, {signature}: {np.mean(same):.4%} of the pixels have the model's class. "
            f"{wrong.sum()} are off by more than rounding, by up to {behind.max():.1e} of the "
            f"range of the scores, where {ROUNDING:.0e} is allowed; {ties} are ties, where {most} "
            "may be. Export again; if it stays so, report the model and its options."
        )
    return Agreement(loader, signature, float(np.mean(same)), ties, len(np.unique(expected)))


def near(
    loader: str,
    signature: str,
    class_map: np.ndarray,
    scores: np.ndarray,
    max_disagreement: float | None,
) -> Agreement:
    """As `compare` if `max_disagreement` is None; else counts the pixels with the model's class.

    Quantization changes more than ties: only `max_disagreement` counts.

    Raises:
        MismatchError: More than `max_disagreement` of the pixels have another class.
    """
    if max_disagreement is None:
        return compare(loader, signature, class_map, scores)
    expected = scores.argmax(-1)
    if class_map.shape != expected.shape:
        raise MismatchError(
            f"{loader}, {signature}: the class map is {list(class_map.shape)}; the model's is "
            f"{list(expected.shape)}"
        )
    agreement = float(np.mean(class_map == expected))
    if 1 - agreement > max_disagreement:
        raise MismatchError(
            f"{loader}, {signature}: {1 - agreement:.2%} of the pixels have another class than the "
            f"model's, where max_disagreement allows {max_disagreement:.2%}. Quantize less, such "
            'as "mixed" for "integer", or give more representative images of your data, or allow '
            "more."
        )
    return Agreement(loader, signature, agreement, 0, len(np.unique(expected)))
