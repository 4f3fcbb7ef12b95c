"""What `zoo predict` is asked for: what answers, and what is written of each image."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from zoo import videos
from zoo.inference import heatmaps, inputs
from zoo.inference.methods import Method
from zoo.inference.scorers import CLASSES, Scorer
from zoo.spec import Spec


@dataclasses.dataclass(frozen=True)
class Asked:
    """What answers, and what is written of each image.

    Args:
        model: The Scorer of the model; of a classifier the model itself.
        others: Further members of an ensemble.
        method: How an image is answered.
        boxes: Of each image by its name, instead of EdgeBoxes.
        depths: The file of the depth of each image, for a net of colour and depth.
        scores: Write the probabilities, too.
        heatmaps: The classes of which heat maps are drawn, as `zoo.inference.heatmaps` takes them.
        font: Of the legends, as `zoo.pictures.overlay` takes it.
    """

    model: Scorer | keras.Model
    others: Sequence[Scorer] = ()
    method: Method = Method()  # noqa: RUF009
    boxes: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    depths: Mapping[pathlib.Path, pathlib.Path] = dataclasses.field(default_factory=dict)
    scores: bool = False
    heatmaps: Sequence[str] = ()
    font: str | None = None

    @property
    def spec(self) -> Spec:
        """Of the model."""
        return self.model.spec

    def check(self) -> None:
        """Raises ValueError if what is wanted is not what the model gives."""
        if self.heatmaps:
            heatmaps.find(self.heatmaps, self.spec.names)
        if isinstance(self.model, keras.Model):
            check_classifier(self.spec.model, heatmaps=self.heatmaps)
            if self.scores or self.others or self.method != Method():
                raise ValueError(
                    f"{self.spec.model} is a classifier, which takes --heatmaps alone. Leave the "
                    "other options out."
                )
        elif self.composed_of(None).gives == CLASSES and (self.scores or self.heatmaps):
            raise ValueError(
                "--scores and --heatmaps are of probabilities; an exported file of this format "
                "gives classes alone. Give the weights file, the workdir or a SavedModel."
            )

    def names(self, path: pathlib.Path, name: str) -> dict[str, str]:
        """The files of an image by what they hold."""
        if videos.is_video(path):
            return {"overlay": f"{name}-overlay.mp4"}
        named = {"heatmaps": f"{name}-heatmaps.png"} if self.heatmaps else {}
        if isinstance(self.model, keras.Model):
            return named
        if self.scores:
            named["probabilities"] = f"{name}-probabilities.npy"
        ending = ".png" if inputs.georeference_of(path) is None else ".tif"
        return {"mask": f"{name}-mask{ending}", "overlay": f"{name}-overlay.png"} | named

    def composed_of(self, boxes: np.ndarray | None) -> Scorer:
        """The Scorer of an image that has these proposals; None for EdgeBoxes."""
        return self.method.composed(self.model, self.others, boxes=boxes)


def check_classifier(name: str, *, heatmaps: Sequence[str]) -> None:
    """Raises ValueError if a classifier is asked for something else than heat maps."""
    if not heatmaps:
        raise ValueError(
            f"{name} is a classifier, which gives heat maps of classes and no class map. Pass "
            "--heatmaps with names of classes, such as --heatmaps tabby."
        )
