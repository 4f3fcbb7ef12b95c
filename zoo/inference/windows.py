"""The sliding-window classifier: each cell's scores from a crop of the image of its own.

Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic Segmentation", PAMI 2017
(Long et al., CVPR 2015, Section 3.1) compare it with the same net over the whole image, which
computes what crops share only once. `benchmarks/dense_vs_windows.py` times both.

Which scores are the same? A cell of score_fr depends on its receptive field: 404 × 404 pixels of
FCN-32s, 355 × 355 of FCN-AlexNet, in the image with its border of 100 zeros.

- A crop of the receptive field alone gives other scores wherever the net's poolings meet other
  pixels in it, and it does in FCN-32s: the field of a cell begins 89 pixels before a multiple of
  the stride of 32. From the multiple before, 7 pixels earlier, a crop of 411 × 411 pixels has the
  field whole and the poolings in their places: its scores are exact. FCN-AlexNet's field begins at
  a multiple of 32 itself, and a crop of exactly 355 × 355 pixels is exact.
- Convolutions pad their input with zeros, at the ends of a crop as at those of the image. What a
  crop has there is wrong, but no cell whose field ends there depends on it. So a crop has several
  cells, and only the one whose field it holds counts.
- The field of a cell near the border reaches beyond the 100 zeros. There a crop ends where the
  padded image does, with the net's own padding: it is smaller, and exact as well. Filled up with
  zeros, as a classifier's crop of one size, it is not: a layer's padding is not an image of zeros.
  On 500 × 500 pixels 10 × 10 of the 16 × 16 cells of FCN-32s, and 11 × 11 of FCN-AlexNet, have
  their whole field inside.
"""

import collections
import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from zoo.inference.reach import reach, window_of
from zoo.inference.scorers import PROBABILITIES, Scorer, scorer


@dataclasses.dataclass(frozen=True)
class Field:
    """The receptive field of cell i along an axis of the padded image.

    `side` pixels from `first + stride * i`, which may be negative.
    """

    side: int
    first: int
    stride: int

    def crop(self, cells: range, length: int) -> tuple[slice, slice]:
        """The smallest exact crop along an axis.

        Args:
            cells: Neighbours.
            length: Of the padded image.

        Returns:
            The crop in the padded image, and the cells among those of the crop.
        """
        low = self.first + self.stride * cells.start
        begin = max(low // self.stride * self.stride, 0)
        end = min(self.first + self.stride * (cells.stop - 1) + self.side, length)
        shift = begin // self.stride
        return slice(begin, end), slice(cells.start - shift, cells.stop - shift)


@dataclasses.dataclass(frozen=True)
class Classifier:
    """The parts of a net whose only scores are those of score_fr.

    Args:
        pad: From images to the padded images.
        trunk: From the padded image or a crop of it to pool5.
        head: From pool5, or the part of it that some cells need, to score_fr.
        upsample: From score_fr and the images to the scores of the images.
        field: Of a cell of score_fr, along both axes.
        window: The side of what a cell needs of pool5.
    """

    pad: keras.Model
    trunk: keras.Model
    head: keras.Model
    upsample: keras.Model
    field: Field
    window: int

    def cells(self, size: Sequence[int]) -> tuple[int, int]:
        """How many rows and columns of cells the image of a size has."""
        padded = self.pad.compute_output_shape((1, *size, self.pad.input_shape[-1]))
        return tuple(
            side - self.window + 1 for side in self.trunk.compute_output_shape(padded)[1:3]
        )

    def scores(self, crops: keras.KerasTensor, rows: slice, columns: slice) -> keras.KerasTensor:
        """Scores of these cells of crops of one size, `[n, rows, columns, classes]`."""
        more = self.window - 1
        pooled = self.trunk(crops, training=False)
        needed = pooled[:, rows.start : rows.stop + more, columns.start : columns.stop + more]
        return self.head(needed, training=False)


def classifier(model: keras.Model) -> Classifier:
    """The parts of FCN-32s or FCN-AlexNet, which share its weights.

    Raises:
        ValueError: The model is another one.
    """
    names = [layer.name for layer in model.layers]
    if not {"pad100", "pool5", "fc6", "score_fr"} <= set(names) or "fuse_pool4" in names:
        raise ValueError(
            "Windows are those of a net whose only scores are score_fr's, fcn32s or fcn_alexnet; "
            f"received {model.name}. Pass one of them."
        )
    padded, pooled, scores = (
        model.get_layer(name).output for name in ("pad100", "pool5", "score_fr")
    )
    side, first, jump = 1, 0, 1
    for layer in model.layers[names.index("pad100") + 1 : names.index("score_fr") + 1]:
        window, stride, _ = window_of(layer)
        if getattr(layer, "padding", "valid") == "same":
            first -= (window - stride) // 2 * jump
        side += (window - 1) * jump
        jump *= stride
    return Classifier(
        pad=keras.Model(model.input, padded),
        trunk=keras.Model(padded, pooled),
        head=keras.Model(pooled, scores),
        upsample=keras.Model([scores, model.input], model.output),
        field=Field(side, first, jump),
        window=window_of(model.get_layer("fc6"))[0],
    )


def windows(model: keras.Model, *, batch: int = 8) -> Scorer:
    """A Scorer that computes each cell from a crop of its own, and gives what the model gives.

    ```python
    slow = windows(zoo.build("fcn32s"), batch=4)
    class_map = slow(image).argmax(-1)  # that of the model itself, many times later
    ```

    Args:
        model: FCN-32s or FCN-AlexNet, of any widths.
        batch: Crops at a time. A crop of FCN-32s takes 0.1 GB at full width.

    Raises:
        ValueError: The model is another one, or `batch` is not positive.
    """
    if batch < 1:
        raise ValueError(f"A batch has 1 crop or more; received {batch}. Pass batch=8.")
    parts = classifier(model)
    margin, stride = reach(model)

    def answer(images: np.ndarray) -> np.ndarray:
        images = np.asarray(images, np.float32)
        scores = np.stack([_of_cells(parts, image[np.newaxis], batch) for image in images])
        found = parts.upsample([scores, images], training=False)
        return keras.ops.convert_to_numpy(keras.ops.softmax(found))

    return Scorer(answer, scorer(model).spec, margin, stride, PROBABILITIES)


def _of_cells(parts: Classifier, image: np.ndarray, batch: int) -> np.ndarray:
    """The scores of all cells of an image `[1, h, w, channels]`: `[rows, columns, classes]`."""
    padded = keras.ops.convert_to_numpy(parts.pad(image, training=False))[0]
    height, width = parts.cells(image.shape[1:3])
    alike = collections.defaultdict(list)  # crops of one size, with their cell in one place
    for row in range(height):
        for column in range(width):
            rows, its_row = parts.field.crop(range(row, row + 1), padded.shape[0])
            columns, its_column = parts.field.crop(range(column, column + 1), padded.shape[1])
            crop = padded[rows, columns]
            alike[crop.shape, its_row.start, its_column.start].append((row, column, crop))
    scores = np.empty((height, width, parts.head.output_shape[-1]), np.float32)
    for (_, row, column), found in alike.items():
        for first in range(0, len(found), batch):
            some_rows, some_columns, crops = zip(*found[first : first + batch], strict=True)
            place = slice(row, row + 1), slice(column, column + 1)
            some = parts.scores(np.stack(crops), *place)
            scores[some_rows, some_columns] = keras.ops.convert_to_numpy(some)[:, 0, 0]
    return scores
