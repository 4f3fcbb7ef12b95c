"""Shapes: drawn scenes of textured circles, squares, triangles and crosses.

Each class has a shape and a pattern: circles are striped, squares checked, triangles wavy and
crosses dotted. Colours, place, size, rotation and the period and rotation of the pattern are
random, so neither colour nor place tells the class. The scenes are written in PASCAL VOC's layout,
JPEG images and palette PNG labels with a border of void around each object, and read as VOC is.
"""

import pathlib

import numpy as np
from PIL import Image

import zoo.pictures
from recipes.data.dataset import IGNORE_LABEL, Dataset
from recipes.data.sets import voc
from zoo import files
from zoo.progress import told

CLASS_NAMES = ("background", "circle", "square", "triangle", "cross")
SIZE = (96, 128)


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """The scenes in `data_dir/shapes`; they are drawn first if the folder does not exist."""
    folder = data_dir / "shapes"
    if not folder.exists():
        write(folder)
    return voc.read(folder, name="shapes", class_names=CLASS_NAMES, background=0)


def write(folder: pathlib.Path, *, train: int = 400, val: int = 100, seed: int = 0) -> None:
    """Draws the scenes into a new folder, which appears when all are drawn."""
    try:
        with files.creating(folder) as unfinished:
            _draw(unfinished, train, val, seed)
    except OSError:
        if not (folder / "ImageSets").exists():  # else another worker has drawn the same scenes
            raise


def _draw(folder: pathlib.Path, train: int, val: int, seed: int) -> None:
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / part).mkdir(parents=True)
    names = [f"{index:06d}" for index in range(train + val)]
    for index, name in enumerate(told(names, "drawing the scenes", len(names))):
        image, label = scene(seed, index)
        Image.fromarray(image).save(folder / "JPEGImages" / f"{name}.jpg", quality=95)
        zoo.pictures.save_class_map(folder / "SegmentationClass" / f"{name}.png", label)
    for split, part in (("train", names[:train]), ("val", names[train:])):
        lines = "".join(f"{name}\n" for name in part)
        file = folder / "ImageSets" / "Segmentation" / f"{split}.txt"
        file.write_text(lines, encoding="utf-8")


def scene(seed: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """A scene, a function of its arguments: image uint8 `[96, 128, 3]`, label uint8 `[96, 128]`.

    It has two to four objects; later ones cover earlier ones.
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
    """The pixels of a shape with random place, size and rotation, bool `[96, 128]`."""
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
    """The pattern of a class in two random colours, float64 `[96, 128, 3]`."""
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
    """The pixels on both sides of the edges between objects, bool `[h, w]`."""
    borders = np.zeros(objects.shape, bool)
    for axis in (0, 1):
        edge = np.diff(objects, axis=axis) != 0
        borders |= np.insert(edge, 0, False, axis=axis) | np.insert(
            edge, edge.shape[axis], False, axis=axis
        )
    return borders
