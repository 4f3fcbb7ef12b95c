"""Shapes: scenes of textured circles, squares, triangles and crosses, drawn on the fly.

Each class has its shape and its pattern: circles are striped, squares checked, triangles wavy and
crosses dotted. Colours, place, size, turn and the pattern's period and turn are drawn at random, so
that neither a colour nor a place tells the class. The scenes are written in PASCAL VOC's layout,
JPEG images and palette PNG labels with a border of 255 around each object, and are read by VOC's
own reader.
"""

import pathlib
import shutil
import tempfile

import numpy as np
from PIL import Image

import zoo.pictures
from recipes.data.dataset import IGNORE_LABEL, Dataset
from recipes.data.sets import voc
from zoo.progress import told

CLASS_NAMES = ("background", "circle", "square", "triangle", "cross")
SIZE = (96, 128)


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """The scenes in `data_dir/shapes`, which are drawn first where they are not there yet."""
    folder = data_dir / "shapes"
    if not folder.exists():
        write(folder)
    return voc.read(folder, name="shapes", class_names=CLASS_NAMES)


def write(folder: pathlib.Path, *, train: int = 400, val: int = 100, seed: int = 0) -> None:
    """Draws the scenes into a new folder; it appears under its name only when it is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = pathlib.Path(tempfile.mkdtemp(prefix="writing-", dir=folder.parent))
    try:
        for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
            (unfinished / part).mkdir(parents=True)
        names = [f"{index:06d}" for index in range(train + val)]
        text = f"drawing scenes into {folder}"
        for index, name in enumerate(told(names, text, len(names))):
            image, label = scene(seed, index)
            picture = Image.fromarray(image)
            picture.save(unfinished / "JPEGImages" / f"{name}.jpg", quality=95)
            zoo.pictures.save_class_map(unfinished / "SegmentationClass" / f"{name}.png", label)
        for split, part in (("train", names[:train]), ("val", names[train:])):
            (unfinished / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(
                "".join(f"{name}\n" for name in part), encoding="utf-8"
            )
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.exists():  # else another worker has drawn the same
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def scene(seed: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """One scene, a function of its arguments: image uint8 `[96, 128, 3]`, label uint8 `[96, 128]`.

    Two to four objects; later ones hide earlier ones.
    """
    rng = np.random.default_rng((seed, index))
    image = _texture(rng, "background")
    label = np.zeros(SIZE, np.uint8)
    objects = np.zeros(SIZE, np.uint8)
    for number in range(1, rng.integers(2, 5) + 1):
        kind = int(rng.integers(1, len(CLASS_NAMES)))
        inside = _shape(rng, CLASS_NAMES[kind])
        image[inside] = _texture(rng, CLASS_NAMES[kind])[inside]
        label[inside] = kind
        objects[inside] = number
    label[_borders(objects)] = IGNORE_LABEL
    noisy = image + rng.normal(0, 4, image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), label


def _shape(rng: np.random.Generator, name: str) -> np.ndarray:
    """The pixels of one shape, bool `[96, 128]`, of random place, size and turn."""
    radius, turn = rng.uniform(18, 30), rng.uniform(0, 2 * np.pi)
    centre = rng.uniform((radius, radius), np.subtract(SIZE, radius))
    dy, dx = np.moveaxis(np.indices(SIZE), 0, -1).reshape(-1, 2).T - centre[:, np.newaxis]
    along = (np.cos(turn) * dx + np.sin(turn) * dy) / radius
    across = (np.cos(turn) * dy - np.sin(turn) * dx) / radius
    if name == "circle":
        inside = np.hypot(along, across) < 0.85
    elif name == "square":
        inside = np.maximum(abs(along), abs(across)) < 0.72
    elif name == "triangle":
        inside = (along > -0.5) & (along / 2 + abs(across) * np.sqrt(3) / 2 < 0.5)
    else:  # a cross: two bars
        short, long = np.minimum(abs(along), abs(across)), np.maximum(abs(along), abs(across))
        inside = (short < 0.27) & (long < 0.95)
    return inside.reshape(SIZE)


def _texture(rng: np.random.Generator, name: str) -> np.ndarray:
    """A dark and a bright colour mixed by the pattern of a class, float64 `[96, 128, 3]`."""
    dark, bright = rng.uniform(((20,), (140,)), ((120,), (240,)), (2, 3))
    period, turn = rng.uniform(5, 10), rng.uniform(0, np.pi)
    y, x = np.indices(SIZE)
    along = (np.cos(turn) * x + np.sin(turn) * y) * 2 * np.pi / period
    across = (np.cos(turn) * y - np.sin(turn) * x) * 2 * np.pi / period
    if name == "background":  # blotches, large and faint
        wave = 0.2 * np.sin(along / 4 + np.sin(across / 4))
    elif name == "circle":
        wave = np.sin(along)
    elif name == "square":
        wave = np.sin(along) * np.sin(across)
    elif name == "triangle":
        wave = np.sin(along + 2 * np.sin(across / 2))
    else:
        wave = 2 * np.maximum(np.cos(along) + np.cos(across) - 1, 0) - 1
    share = (0.5 + 0.5 * wave)[..., np.newaxis]
    return bright * share + dark * (1 - share)


def _borders(objects: np.ndarray) -> np.ndarray:
    """The pixels on either side of an edge between two objects, bool `[h, w]`."""
    borders = np.zeros(objects.shape, bool)
    for axis in (0, 1):
        edge = np.diff(objects, axis=axis) != 0
        borders |= np.insert(edge, 0, False, axis=axis) | np.insert(
            edge, edge.shape[axis], False, axis=axis
        )
    return borders
