"""Shows class maps: PNGs that keep the class numbers, and overlays with a legend."""

import colorsys
import pathlib
from collections.abc import Collection, Sequence

import numpy as np
from PIL import Image, ImageDraw

from zoo import files, fonts

VOID = 255


def voc_palette(classes: int = 256) -> np.ndarray:
    """PASCAL VOC's colours, uint8 `[classes, 3]`.

    The bits of the class number go to red, green and blue in turn, and fill each colour from its
    highest bit down: 1 is (128, 0, 0), 2 is (0, 128, 0), 255 (void) is (224, 224, 192).

    Raises:
        ValueError: `classes` is not a whole number from 1 to 256.
    """
    _check_palette_length(classes)
    bits = np.unpackbits(np.arange(classes, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    dealt = np.zeros((classes, 3, 8), np.uint8)
    for bit in range(8):
        dealt[:, bit % 3, bit // 3] = bits[:, bit]
    return np.packbits(dealt, axis=2)[..., 0]


def with_colours(palette: np.ndarray, colours: Sequence[tuple[int, int, int]] | None) -> np.ndarray:
    """A palette whose first classes have these colours, uint8; with None as it is."""
    if colours is None:
        return palette
    return np.concatenate([np.array(colours, np.uint8), palette[len(colours) :]])


def bright_palette(classes: int = 256) -> np.ndarray:
    """Colours that stand out on grey and on dark images, uint8 `[classes, 3]`.

    VOC's first colours are dark. Here the hue moves on by the golden ratio with each class, so that
    classes with neighbouring numbers have very different colours; 255 (void) is white.

    Raises:
        ValueError: `classes` is not a whole number from 1 to 256.
    """
    _check_palette_length(classes)
    golden = (5**0.5 - 1) / 2
    colours = [
        colorsys.hsv_to_rgb((0.52 + number * golden) % 1, (0.9, 0.55)[number // 8 % 2], 1)
        for number in range(classes)
    ]
    palette = np.round(255 * np.array(colours)).astype(np.uint8)
    palette[VOID:] = 255
    return palette


def save_class_map(
    path: str | pathlib.Path, class_map: np.ndarray, *, palette: np.ndarray | None = None
) -> pathlib.Path:
    """Writes a class map as a PNG with a palette: each pixel holds its class number, in one byte.

    ```python
    zoo.pictures.save_class_map("mask.png", scores[0].argmax(-1))
    ```

    Args:
        path: Ends in `.png`. An existing file is replaced once the new one is complete.
        class_map: Whole numbers 0-255, `[h, w]`; 255 is void.
        palette: uint8 `[256, 3]`; VOC's if None.

    Returns:
        The path.

    Raises:
        ValueError: `path`, `class_map` or `palette` is invalid.
        OSError: The file cannot be written; an existing file stays as it was.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(
            "A class map is saved as PNG, which keeps every number; received "
            f"{path.name!r}. Name it {path.with_suffix('.png').name}."
        )
    picture = Image.fromarray(_checked_class_map(class_map))
    picture.putpalette(_checked_palette(voc_palette() if palette is None else palette).tobytes())
    with files.replacing(path) as unfinished:
        picture.save(unfinished, "PNG")
    return path


def overlay(
    image: np.ndarray,
    class_map: np.ndarray,
    class_names: Sequence[str],
    *,
    background: int | None = 0,
    opacity: float = 0.45,
    palette: np.ndarray | None = None,
    font: str | pathlib.Path | None = None,
    hidden: Collection[int] = (),
    legend: Sequence[int] | None = None,
    smallest: int = 320,
) -> Image.Image:
    """Draws the classes over an image in colour, and below it a legend of the classes that occur.

    ```python
    zoo.pictures.overlay(image, class_map, ["background", "coin"]).save("overlay.png")
    ```

    Each class is tinted with its colour and outlined in it. The background stays as it is in the
    image, and its swatch in the legend is crossed out. A small image is enlarged by a whole factor,
    so that its legend can be read.

    Args:
        image: uint8 `[h, w, 3]` RGB, or `[h, w, 1]` or `[h, w]` grey.
        class_map: Whole numbers 0-255, `[h, w]`; 255 is void.
        class_names: The name of each class, in the order of their numbers.
        background: Number of the class that is not tinted; None tints every class.
        opacity: Of the tint, 0 to 1.
        palette: uint8 `[256, 3]`; `bright_palette()` if None.
        font: The path of a font file for the legend. By default one that has the letters of a name
            is looked for on this system; if there is none, a warning says so. Names that run from
            right to left or join their letters are laid out as in `zoo.fonts`.
        hidden: Numbers of classes that are drawn as the background is.
        legend: Numbers of the classes in the legend, none for no legend; None for those that
            occur, whose number decides how high the picture becomes.
        smallest: Pixels on the longer side, below which the image is enlarged; 1 for never.

    Returns:
        An RGB image of Pillow.

    Raises:
        ValueError: An argument is invalid, the image and the class map differ in size, or a class
            that occurs has no name.
    """
    class_map = _checked_class_map(class_map)
    image = _checked_image(image, class_map.shape)
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity is from 0 to 1; received {opacity!r}. Pass 0.45, for example.")
    occurring = [int(number) for number in np.unique(class_map)]
    nameless = [number for number in occurring if number >= len(class_names) and number != VOID]
    if nameless:
        raise ValueError(
            f"Each class that occurs has a name; class {nameless[0]} has none among "
            f"{len(class_names)} names. Give one for each class, in the order of their numbers."
        )
    palette = _checked_palette(bright_palette() if palette is None else palette)

    factor = -(-smallest // max(class_map.shape))
    image = image.repeat(factor, axis=0).repeat(factor, axis=1)
    class_map = class_map.repeat(factor, axis=0).repeat(factor, axis=1)

    untinted = {background, *hidden} - {None}
    is_plain = np.isin(class_map, list(untinted))
    strength = np.where(is_plain, 0, opacity)
    strength[_outline(class_map) & ~is_plain] = 1
    tinted = image + strength[..., None] * (palette[class_map] - image.astype(float))
    picture = Image.fromarray(np.round(tinted).astype(np.uint8))
    numbers = occurring if legend is None else legend
    return with_legend(picture, class_names, numbers, untinted=untinted, palette=palette, font=font)


def visible(image: np.ndarray) -> np.ndarray:
    """An image `[h, w, channels]` for a picture of it, uint8 `[h, w, 3]` or `[h, w, 1]`.

    Of other numbers of channels than 1 and 3 the first three are taken for red, green and blue, or
    the first alone. Numbers that are not uint8 are drawn over the range that they have.
    """
    image = image[..., : 3 if image.shape[-1] >= 3 else 1]
    if image.dtype == np.uint8:
        return image
    low, high = image.min(), image.max()
    return np.rint(255 * (image - low) / max(high - low, 1e-6)).astype(np.uint8)


def _outline(class_map: np.ndarray) -> np.ndarray:
    """Marks the pixels with a neighbour of another class above, below, left or right."""
    padded = np.pad(class_map, 1, mode="edge")
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.logical_or.reduce([neighbour != class_map for neighbour in neighbours])


def with_legend(
    image: Image.Image,
    class_names: Sequence[str],
    numbers: Sequence[int],
    *,
    untinted: Collection[int] = (),
    palette: np.ndarray | None = None,
    font: str | pathlib.Path | None = None,
    size: int | None = None,
) -> Image.Image:
    """Puts swatches and names below a picture, on white, in as many lines as they need.

    Args:
        image: The picture.
        class_names: The name of each class, in the order of their numbers.
        numbers: Of the classes in the legend; 255 is void. Without any the picture stays as it is.
        untinted: Of these the classes without a colour, whose swatch is crossed out.
        palette: uint8 `[256, 3]`; `bright_palette()` if None.
        font: As for `overlay`.
        size: Of the letters, in pixels; a fortieth of the longer side of the picture if None, at
            least 14.

    Returns:
        An RGB image of Pillow.
    """
    if not numbers:
        return image
    palette = _checked_palette(bright_palette() if palette is None else palette)
    entries = [
        (
            class_names[number] if number < len(class_names) else "void",
            None if number in untinted else tuple(int(part) for part in palette[number]),
        )
        for number in numbers
    ]
    size = size or max(14, max(image.size) // 40)
    gap, line = size // 2, size * 3 // 2
    chosen = fonts.for_names((name for name, _ in entries), size, font=font)
    lengths = [one.getlength(name) for one, (name, _) in zip(chosen, entries, strict=True)]
    widths = [size + gap + round(length) + 2 * gap for length in lengths]
    width = max(image.width, gap + max(widths))

    places, x, y = [], gap, image.height + gap
    for entry_width in widths:
        if x > gap and x + entry_width > width:
            x, y = gap, y + line
        places.append((x, y))
        x += entry_width

    sheet = Image.new("RGB", (width, y + line), "white")
    sheet.paste(image)
    draw = ImageDraw.Draw(sheet)
    for (name, colour), (x, y), letters in zip(entries, places, chosen, strict=True):
        swatch = (x, y, x + size - 1, y + size - 1)
        draw.rectangle(swatch, fill=colour, outline="black")
        if colour is None:
            draw.line(swatch, fill="black")
        draw.text((x + size + gap, y + size / 2), name, fill="black", font=letters, anchor="lm")
    return sheet


def _check_palette_length(classes: int) -> None:
    if isinstance(classes, bool) or not isinstance(classes, int) or not 1 <= classes <= 256:
        raise ValueError(f"A palette has 1 to 256 colours; received {classes!r}. Pass 256 for all.")


def _checked_palette(palette: np.ndarray) -> np.ndarray:
    palette = np.asarray(palette)
    if palette.shape != (256, 3) or palette.dtype != np.uint8:
        raise ValueError(
            "A palette is uint8 [256, 3], a colour for every number; received "
            f"{palette.dtype} {list(palette.shape)}. Change rows of zoo.pictures.voc_palette()."
        )
    return palette


def _checked_class_map(class_map: np.ndarray) -> np.ndarray:
    class_map = np.asarray(class_map)
    if class_map.ndim != 2 or not class_map.size:
        raise ValueError(
            f"A class map is [h, w], one number per pixel; received {list(class_map.shape)}. "
            "Take one image of a batch, and the argmax of scores."
        )
    if not np.issubdtype(class_map.dtype, np.integer):
        raise ValueError(
            f"A class map holds whole numbers; received {class_map.dtype}. Take the argmax of "
            "scores, or convert it with .astype(np.uint8)."
        )
    if class_map.min() < 0 or class_map.max() > VOID:
        wrong = class_map.min() if class_map.min() < 0 else class_map.max()
        raise ValueError(
            f"A class map holds numbers from 0 to 255; received {wrong}. Map void pixels to 255."
        )
    return class_map.astype(np.uint8)


def _checked_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The image as `[h, w, 3]`."""
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[-1] not in (1, 3) or image.dtype != np.uint8:
        raise ValueError(
            "An image is uint8 [h, w, 3], [h, w, 1] or [h, w]; received "
            f"{image.dtype} {list(image.shape)}. Take one image of a batch, and convert it with "
            ".round().astype(np.uint8)."
        )
    if image.shape[:2] != size:
        raise ValueError(
            f"An image and its class map have one size; received {image.shape[0]} × "
            f"{image.shape[1]} and {size[0]} × {size[1]}. Crop or scale one of them."
        )
    return np.broadcast_to(image, (*size, 3))
