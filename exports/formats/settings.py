"""What an export was asked for, and the checks of it that need no model."""

import dataclasses
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from exports import images as pictures
from exports.formats import DTYPES, FLOAT16, FORMATS, INTEGER, KINDS, NONE, OF_IMAGES
from exports.graph.limits import Limits
from zoo import registry
from zoo.spec import Spec

SIDE = 500  # pixels of the image of one request; PASCAL VOC's are as large


@dataclasses.dataclass(frozen=True)
class Settings:
    """The options of `exports.export` that writers and checks share; their meaning is told there.

    Raises:
        ValueError: `size`, `dtype`, `quantize`, `max_disagreement` or the representative images
            are invalid, or do not fit each other.
    """

    limits: Limits
    memory: dict[str, Any] | None = None
    spec: Spec | None = None
    size: tuple[int, int] | None = None
    dtype: str = "uint8"
    quantize: str = NONE
    representative: np.ndarray | None = None
    max_disagreement: float | None = None
    fast: bool | None = None
    mediapipe_python: str | None = None
    images: np.ndarray | None = None
    report: Callable[[str], None] = lambda line: None

    def __post_init__(self) -> None:
        _check_size(self.size)
        if self.dtype not in DTYPES:
            raise ValueError(
                f"A file takes images uint8 or float32, both 0-255; received {self.dtype!r}. "
                'Pass dtype="uint8".'
            )
        _check_quantization(self.quantize, self.max_disagreement)
        _check_representative(self)

    def is_fast(self, form: str) -> bool:
        """Whether a format gets the fast copy of the model, which computes in float32."""
        if self.quantize != NONE and form in _quantized_formats(self.quantize):
            return False
        return FORMATS[form].fast if self.fast is None else self.fast

    @property
    def image_shape(self) -> tuple[int | None, int | None, int]:
        """Height, width and channels of an image; None for any size."""
        return (*(self.size or (None, None)), self.limits.channels)

    def request(self, form: str) -> np.ndarray:
        """The image of the one request to a format that is measured, `[1, h, w, channels]`."""
        if form == "saved_model":
            return pictures.textures(1, self.limits.fit(SIDE, SIDE), self.limits.channels)
        size = self.size or (SIDE, SIDE)
        return pictures.textures(1, size, self.limits.channels).astype(self.dtype)

    def images_of_size(self) -> np.ndarray | None:
        """The images to check with, scaled to `size` if there is one."""
        if self.images is None or self.size is None or self.images.ndim != 4:
            return self.images
        return pictures.scaled(self.images, self.size)

    def of_one_check(self) -> dict[str, Any]:
        """The keywords of `exports.check.check_class_map` that are the settings'."""
        return {
            "size": self.size,
            "dtype": self.dtype,
            "images": self.images_of_size(),
            "report": self.report,
        }


def check_formats(names: Sequence[str]) -> tuple[str, ...]:
    """The names of formats, each once.

    Raises:
        ValueError: There is none, or one is unknown.
        ImportError: What a format needs is not installed; the message says how to install it.
    """
    if isinstance(names, str) or not names or not set(names) <= set(FORMATS):
        raise ValueError(
            f"formats are one or more of {', '.join(FORMATS)}; received {names!r}. Pass "
            'formats=["saved_model"], for example.'
        )
    for name in names:
        form = FORMATS[name]
        for package, called in form.packages.items():
            if importlib.util.find_spec(package) is None:
                raise ImportError(
                    f"The format {name} is written and checked by {called}, which is not "
                    f'installed. Install it: pip install "segmentation-zoo[{form.extra}]".'
                )
    return tuple(dict.fromkeys(names))


def check_together(formats: Sequence[str], settings: Settings) -> None:
    """Checks that the settings are those of the formats.

    Raises:
        ValueError: A TFLite file's options without one, or images that ImageSegmenter cannot take.
        ImportError: NNCF, which writes integers for OpenVINO, is not installed.
    """
    quantized = settings.quantize != NONE or settings.max_disagreement is not None
    takers = _quantized_formats(settings.quantize)
    if (quantized or settings.representative is not None) and not takers & {*formats}:
        raise ValueError(
            "quantize, representative and max_disagreement are for TFLite files, and integer for "
            f"openvino too; received {settings.quantize!r} and the formats {', '.join(formats)}. "
            "Add the format tflite."
        )
    if (
        "openvino" in formats
        and settings.quantize == INTEGER
        and importlib.util.find_spec("nncf") is None
    ):
        raise ImportError(
            "Integers for OpenVINO are written by NNCF, which is not installed. Install it: "
            'pip install "segmentation-zoo[nncf]".'
        )
    rgb = settings.size is not None and settings.limits.channels == 3
    if "mediapipe" in formats and not (rgb and settings.dtype == "uint8"):
        raise ValueError(
            "MediaPipe's ImageSegmenter takes RGB images uint8 of a fixed size; received "
            f"{settings.dtype} {[1, *settings.image_shape]}. Pass a size, dtype uint8, and a model "
            "of 3 channels."
        )


def _quantized_formats(quantize: str) -> set[str]:
    """The formats that can be quantized in this way."""
    return {"tflite", "mediapipe"} | ({"openvino"} if quantize == INTEGER else set())


def check_heads(formats: Sequence[str], heads: Sequence[str | None], model: str) -> None:
    """Checks that the formats hold all the heads of a model.

    Raises:
        ValueError: One holds a single class map, and there are several heads.
    """
    single = [name for name in formats if name != "saved_model"]
    if single and len(heads) > 1:
        raise ValueError(
            f"A file of the format {single[0]} gives one class map; {model!r} has the heads "
            f"{' and '.join(map(str, heads))}. Pass one of them: head={heads[0]!r}, or --head "
            f"{heads[0]} on the command line; or export a SavedModel, which answers for all."
        )


def check_depth(formats: Sequence[str], spec: Spec | None, *, dtype: str, quantize: str) -> None:
    """Checks that the formats take the logarithm of a depth, if the model's image holds it.

    Raises:
        ValueError: They take whole numbers 0-255, of which it would be two or three.
    """
    if spec is None or not registry.takes_log_depth(spec.model):
        return
    rule = (
        f"The last channel of an image of {spec.model} is the logarithm of a depth, about 6 to 9, "
        "which whole numbers do not hold"
    )
    if "saved_model" in formats:
        raise ValueError(
            f"{rule}; a SavedModel takes uint8, JPEG and PNG. Export it to tflite, onnx or "
            'openvino with dtype="float32" (--dtype float32 on the command line).'
        )
    if dtype != "float32" or quantize in OF_IMAGES:
        received = f"quantize={quantize!r}" if quantize in OF_IMAGES else f"dtype={dtype!r}"
        raise ValueError(
            f'{rule}; received {received}. Pass dtype="float32" without integer arithmetic; on the '
            "command line --dtype float32."
        )


def _check_size(size: tuple[int, int] | None) -> None:
    if size is None:
        return
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(
            f"size is a height and a width in pixels, each at least 1; received {size!r}. "
            "Pass size=(256, 256), for example; on the command line --size 256 256."
        )


def _check_quantization(kind: str, max_disagreement: float | None) -> None:
    if kind not in KINDS:
        raise ValueError(
            f"A file is quantized as one of {', '.join(KINDS)}; received {kind!r}. "
            f'Pass quantize="{FLOAT16}", which changes the least.'
        )
    if max_disagreement is not None and (kind == NONE or not 0 <= max_disagreement <= 1):
        raise ValueError(
            "max_disagreement is the share of the pixels, from 0 to 1, to which a quantized file "
            f"may give another class; received {max_disagreement!r} with quantize={kind!r}. Pass "
            "none for a file in float32: it must agree."
        )


def _check_representative(settings: Settings) -> None:
    images, (height, width, channels) = settings.representative, settings.image_shape
    if images is None:
        if settings.quantize in OF_IMAGES:
            raise ValueError(
                "Integer arithmetic takes its ranges from representative images; received none. "
                "Pass some of your data: representative=, or on the command line --representative "
                "FOLDER or the name of a data set."
            )
        return
    fit = images.ndim == 4 and len(images) and images.shape[-1] == channels
    if (
        not fit
        or images.dtype != np.uint8
        or images.shape[1:3] != (settings.size or images.shape[1:3])
    ):
        raise ValueError(
            f"Representative images are uint8 {['n', height, width, channels]}, of the size that "
            f"the file takes; received {images.dtype} {list(images.shape)}. Scale or convert them."
        )
