"""How an image is answered: the options of `zoo predict`, `zoo evaluate` and `zoo demo`.

model → proposals, or mirror images, turns and scales in tiles → ensemble → CRF
"""

import argparse
import dataclasses
import functools
import os
import pathlib
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.terminal import above_zero, positive

if TYPE_CHECKING:
    from zoo.inference.scorers import Scorer  # it imports Keras, and help texts need none

AUTO, WHOLE = "auto", "whole"
FLIPS = ("none", "horizontal", "vertical", "four")
RULES = ("paper", "release")


@dataclasses.dataclass(frozen=True)
class Method:
    """How an image is answered. By default whole, or in exact tiles if it is large.

    Args:
        tile: The side of a tile in pixels; "auto" for what fits into the memory; "whole" for none.
        overlap: Of neighbouring tiles, in pixels, within which their answers are blended. None for
            as much as the net sees: then the answer is that of the whole image.
        flips: Average over mirror images, as of `zoo.inference.augmented`: "none", "horizontal",
            "vertical" or "four".
        turns: Average over the four turns by 90°.
        scales: Average over these sizes of the image, too; 1 is its own.
        proposals: Answer the windows that are most likely to hold an object, as DeconvNet does.
        rules: Of the proposals: those of the "paper", or of the authors' "release".
        edges: The file of a structured forest that finds the edges of the proposals.
        product: Multiply the members of an ensemble instead of averaging them.
        crf: Refine the answer with a fully connected CRF.
    """

    tile: int | str = AUTO
    overlap: int | None = None
    flips: str = FLIPS[0]
    turns: bool = False
    scales: tuple[float, ...] = ()
    proposals: bool = False
    rules: str = RULES[0]
    edges: str | None = None
    product: bool = False
    crf: bool = False

    def __post_init__(self):
        for name, choices in (("flips", FLIPS), ("rules", RULES)):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} is one of {', '.join(choices)}; received {getattr(self, name)!r}. "
                    "Pass one of them."
                )
        pixels = isinstance(self.tile, int) and self.tile > 0
        if not pixels and self.tile not in (AUTO, WHOLE):
            raise ValueError(
                f"tile is a number of pixels from 1, auto or whole; received {self.tile!r}. Pass "
                "512, for example."
            )
        if self.tile == WHOLE and self.overlap is not None:
            raise ValueError("overlap is for tiles; received tile='whole'. Leave one of them out.")
        for name in ("edges", "rules"):
            if not self.proposals and getattr(self, name) != getattr(type(self), name):
                raise ValueError(
                    f"{name} is for proposals (--proposals). Add them, or leave {name} out."
                )
        if isinstance(self.scales, str | int | float):
            raise ValueError(
                f"scales is a list of factors; received {self.scales!r}. Pass scales=(0.75, 1.25), "
                "for example."
            )
        object.__setattr__(self, "scales", tuple(self.scales))

    def told(self) -> str:
        """Which options are not the default, such as "flips=four, crf"; empty for none."""
        changed = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        }
        return ", ".join(name if x is True else f"{name}={x}" for name, x in changed.items())

    @property
    def needs_whole(self) -> str | None:
        """The option for which the whole image is needed at once; None if there is none."""
        return "--proposals" if self.proposals else "--crf" if self.crf else None

    def scorer(self, source: Any, **options: Any) -> "Scorer":
        """The Scorer of a model, with the scores of its last layer where a method wants them.

        Args:
            source: As of `zoo.inference.scorer`, and so `options`.
            **options: See above.
        """
        from zoo.inference import exported, scorers

        # DeconvNet joins scores; a file that gives probabilities alone has those joined.
        scores = self.proposals and (
            not isinstance(source, str | os.PathLike) or exported.find(pathlib.Path(source)) is None
        )
        return scorers.scorer(source, scores=scores, **options)

    def composed(
        self,
        answer: "Scorer",
        others: "Sequence[Scorer]" = (),
        *,
        boxes: np.ndarray | None = None,
    ) -> "Scorer":
        """The Scorer of an image, which gives probabilities if the model does or gives scores.

        Args:
            answer: Of the model, as `scorer` gives it.
            others: Further members of an ensemble. They are asked without proposals.
            boxes: Of this image, instead of EdgeBoxes; as of `zoo.inference.proposals`.

        Raises:
            ValueError: An option does not suit the model, or the members differ in their classes.
            ImportError: An extra is not installed; the message names it.
        """
        from zoo.inference.probabilities import probabilities

        if self.product and not others:
            raise ValueError(
                "product is for an ensemble; received none. Add further models (--ensemble), or "
                "leave it out."
            )
        if self.proposals:
            first = self._averaged(self._with_proposals(answer, boxes))
        else:
            first = self._in_tiles(answer)
        found = probabilities(self._joined([first, *map(self._in_tiles, others)]))
        if self.crf:
            from zoo.inference.crf import crf

            found = crf(found)
        return found

    def of_a_tile(self, answer: "Scorer", others: "Sequence[Scorer]" = ()) -> "Scorer":
        """The Scorer of one tile of an image that is too large to be held.

        Raises:
            ValueError: A method needs the whole image.
        """
        if self.needs_whole:
            raise ValueError(
                f"{self.needs_whole} takes a whole image at once; this one is answered strip by "
                "strip. Leave it out, or scale the image down."
            )
        return self._joined([self._averaged(one) for one in (answer, *others)])

    def _in_tiles(self, answer: "Scorer") -> "Scorer":
        from zoo.inference.tiles import tiled, tiled_as_needed

        if self.tile == AUTO:
            answer = tiled_as_needed(answer, overlap=self.overlap)
        elif self.tile != WHOLE:
            answer = tiled(answer, side=self.tile, overlap=self.overlap)
        return self._averaged(answer)

    def side_of(self, answer: "Scorer") -> int:
        """The side of a tile of an image that may have any size, in pixels.

        Raises:
            MemoryError: The memory does not suffice for the smallest tile.
        """
        if self.tile not in (AUTO, WHOLE):
            return self.tile
        from zoo.inference.tiling import auto_side

        return auto_side(answer, overlap=self.overlap)

    def _averaged(self, answer: "Scorer") -> "Scorer":
        if self.flips == FLIPS[0] and not self.turns and not self.scales:
            return answer
        from zoo.inference.augmented import augmented

        return augmented(answer, flips=self.flips, turns=self.turns, scales=self.scales)

    def _with_proposals(self, answer: "Scorer", boxes: np.ndarray | None) -> "Scorer":
        from zoo.inference import edge_boxes, proposals

        rules = dict(zip(RULES, (proposals.PAPER, proposals.RELEASE), strict=True))[self.rules]
        if boxes is None:
            boxes = functools.partial(edge_boxes.edge_boxes, edges=self.edges)
        return proposals.proposals(answer, boxes, rules=rules)

    def _joined(self, members: "list[Scorer]") -> "Scorer":
        if len(members) == 1:
            return members[0]
        from zoo.inference.ensembles import ensemble

        return ensemble(members, how="product" if self.product else "mean")


def add_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Adds the options of a `Method`, and `--ensemble`; gives their group."""
    group = parser.add_argument_group("how an image is answered")
    group.add_argument(
        "--tile",
        type=_tile,
        default=AUTO,
        metavar="PIXELS",
        help="the side of the tiles in which a large image is answered; auto: as large as the "
        "memory allows; whole: no tiles (default: auto)",
    )
    group.add_argument(
        "--overlap",
        type=_overlap,
        metavar="PIXELS",
        help="how far neighbouring tiles overlap; their answers are blended there, which is faster "
        "and leaves seams (default: as far as the net sees, which leaves none)",
    )
    group.add_argument(
        "--flips",
        choices=FLIPS,
        default=FLIPS[0],
        help="average over the image and a mirror image, or over all four (default: none)",
    )
    group.add_argument("--turns", action="store_true", help="average over the four turns by 90°")
    group.add_argument(
        "--scales",
        nargs="+",
        type=above_zero("factors, such as 0.75"),
        default=(),
        metavar="FACTOR",
        help="average over these sizes of the image, too, such as 0.75 1.25",
    )
    group.add_argument(
        "--proposals",
        action="store_true",
        help="answer the windows that are likely to hold an object, enlarged to 224 × 224, as "
        "DeconvNet does; for nets that were trained on such windows; EdgeBoxes finds them",
    )
    group.add_argument(
        "--rules",
        choices=RULES,
        default=RULES[0],
        help="how proposals are chosen and joined: as in DeconvNet's paper, or as in its authors' "
        "release (default: paper)",
    )
    group.add_argument(
        "--edges",
        metavar="FILE",
        help="a structured forest (OpenCV's model.yml.gz), which finds the edges that EdgeBoxes "
        "needs (default: the gradients of the smoothed image)",
    )
    group.add_argument(
        "--ensemble",
        action="append",
        default=[],
        metavar="MODEL",
        help="average over the probabilities of this model, too; may be given again",
    )
    group.add_argument(
        "--product", action="store_true", help="multiply those of an ensemble instead"
    )
    group.add_argument(
        "--crf", action="store_true", help="refine the answer with a fully connected CRF"
    )
    return group


def warn_of_twins(model: str, ensemble: Sequence[str]) -> None:
    """Warns of a model that is a member of its own ensemble."""
    if os.path.abspath(model) in map(os.path.abspath, ensemble):
        warnings.warn(
            f"{model} is averaged with itself, which changes nothing: it is in --ensemble, too",
            stacklevel=2,
        )


def of_options(given: argparse.Namespace) -> Method:
    """The Method of parsed options.

    Raises:
        ValueError: Two of them do not go together.
    """
    fields = {field.name: getattr(given, field.name) for field in dataclasses.fields(Method)}
    return Method(**fields | {"scales": tuple(given.scales)})


def _tile(text: str) -> int | str:
    return text if text in (AUTO, WHOLE) else positive(text)


def _overlap(text: str) -> int:
    return 0 if text == "0" else positive(text)
