"""The limits of a request: given, or derived from the memory that a server has."""

import dataclasses

from exports.graph import MAX_BATCH, MAX_BYTES, MAX_PIXELS


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one request may hold.

    Args:
        channels: Of each image.
        max_pixels: The most pixels of one image.
        max_batch: The most images.
        max_bytes: The most bytes of the JPEG or PNG file of one image.
        max_request_pixels: The most pixels of all images that are computed together; None for as
            many as `max_batch` images may have.

    Raises:
        ValueError: A limit is not a positive whole number.
    """

    channels: int
    max_pixels: int = MAX_PIXELS
    max_batch: int = MAX_BATCH
    max_bytes: int = MAX_BYTES
    max_request_pixels: int | None = None

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if name == "max_request_pixels" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
                raise ValueError(
                    f"{name} is a whole number from 1 to {2**31 - 1}; received {value!r}. "
                    f"Pass max_pixels={MAX_PIXELS} and max_batch={MAX_BATCH}, for example."
                )

    def check_file(self, image_bytes: bytes) -> None:
        """Raises ValueError if a file that an export sends itself is one that it would refuse."""
        length = len(image_bytes)
        if length > self.max_bytes:
            raise ValueError(
                f"A version takes the files that it is checked with, of at most {self.max_bytes} "
                f"bytes: one of them is a PNG of {length}. Pass max_bytes={length} or more; on the "
                "command line --max-bytes."
            )

    def fit(self, height: int, width: int) -> tuple[int, int]:
        """A height and a width, or smaller ones of about this ratio within `max_pixels`."""
        scale = min(1, (self.max_pixels / (height * width)) ** 0.5)
        height = min(max(1, int(height * scale)), self.max_pixels)
        return height, min(max(1, int(width * scale)), self.max_pixels // height)
