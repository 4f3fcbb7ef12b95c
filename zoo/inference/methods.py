"""How an image is answered."""

import dataclasses

from zoo.inference.scorers import Scorer

AUTO, WHOLE = "auto", "whole"
FLIPS = ("none", "horizontal", "four")


@dataclasses.dataclass(frozen=True)
class Method:
    """How an image is answered.

    Args:
        tile: The side of a tile in pixels; "auto" for what fits into the memory; "whole" for none.
        flips: Average over mirror images: "none", "horizontal" (2) or "four".
        crf: Refine the answer with a fully connected CRF.
    """

    tile: int | str = AUTO
    flips: str = FLIPS[0]
    crf: bool = False

    def composed(self, answer: Scorer) -> Scorer:
        """The Scorer of an image."""
        if self.crf:
            raise ImportError(
                "A fully connected CRF is computed by pydensecrf, which is not installed. Install "
                'it: pip install "segmentation-zoo[crf]".'
            )
        return answer
