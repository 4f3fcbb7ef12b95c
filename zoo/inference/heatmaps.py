"""How probable a class is at each pixel of an image: a heat map for each class that is asked for.

Of a net for class maps these are its probabilities. A classifier of the zoo, such as
`vgg16_heatmap`, gives a coarse grid, as Figure 2 of the FCN paper shows it; here the grid is scaled
to the image, linearly between the middles of the windows that its cells stand for.
"""

import difflib
import os
import re
from collections.abc import Sequence

import keras
import numpy as np
from PIL import Image

from zoo import registry
from zoo.inference.activations import as_rgb, outputs
from zoo.inference.probabilities import probabilities, softmax
from zoo.inference.scorers import Scorer, scorer
from zoo.inference.sheets import Panel, heat
from zoo.inference.sheets import sheet as laid_out
from zoo.spec import Spec

_OPACITY = (0.25, 0.85)  # of the colours over the grey image, where a class is not and where it is


def heatmaps(source: Scorer | keras.Model, image: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """The probabilities of some classes at each pixel of an image.

    ```python
    maps = heatmaps(model, image, ["coin"])
    maps.shape  # (303, 384, 1)
    sheet(image, maps, ["coin"]).save("heatmaps.png")
    ```

    Args:
        source: What answers: a Scorer, or a model of the zoo.
        image: `[h, w, channels]`, 0-255.
        classes: As `find` takes them.

    Returns:
        float32 `[h, w, classes]` from 0 to 1, a map for each of `classes`.

    Raises:
        ValueError: A class is unknown or could be several, none is given, or the image does not
            fit the model.
    """
    spec = getattr(source, "spec", None)
    if spec is not None and registry.is_classifier(spec.model):
        chosen = _some(classes, spec)
        (scores,) = outputs(source, image, [None])
        return _scaled(softmax(scores)[..., chosen], image.shape[:2], source)
    answer = probabilities(scorer(source))
    return answer(image)[..., _some(classes, answer.spec)]


def sheet(
    image: np.ndarray,
    maps: np.ndarray,
    names: Sequence[str],
    *,
    font: str | os.PathLike | None = None,
) -> Image.Image:
    """A sheet of an image and, over it in grey, the heat map of each class.

    All maps have one scale, from 0 to a round number that is not below the largest probability; the
    line below each says its largest.

    Args:
        image: uint8 `[h, w, 3]`, or `[h, w, channels]`, of which the first is drawn.
        maps: What `heatmaps` gave, `[h, w, classes]`.
        names: Of the classes.
        font: The path of a font file for the names; see `zoo.pictures.overlay`.

    Returns:
        An RGB image of Pillow.
    """
    top = _round_top(float(maps.max()))
    rgb = as_rgb(image)
    grey = np.asarray(Image.fromarray(rgb).convert("L"), np.float32)[..., None]
    panels = [Panel(rgb, ("image",))]
    for name, one in zip(names, np.moveaxis(maps, -1, 0), strict=True):
        share = np.clip(one / top, 0, 1)[..., None]
        opacity = _OPACITY[0] + (_OPACITY[1] - _OPACITY[0]) * share
        drawn = grey + opacity * (heat(one, 0, top) - grey)
        most = float(one.max())
        lines = (name, f"at most {most:.2f}" if most >= 0.01 else "below 0.01")
        panels.append(Panel(np.round(drawn).astype(np.uint8), lines))
    return laid_out(panels, low="probability 0", high=f"{top:g}", font=font)


def find(classes: Sequence[str], names: Sequence[str]) -> list[int]:
    """The numbers of classes, each by its name or a word that it alone has.

    >>> names = ["tabby, tabby cat", "tiger cat", "tiger, Panthera tigris", "Persian cat"]
    >>> find(["tabby", "tiger", "persian"], names)
    [0, 2, 3]

    Args:
        classes: Whole names; one of the synonyms that a name's commas part; or words. Beyond whole
            names, small and large letters are the same.
        names: Of all classes.

    Raises:
        ValueError: No class has a name, or several; the message holds the nearest names.
    """
    return [_find(name, names) for name in classes]


def _find(name: str, names: Sequence[str]) -> int:
    if name in names:
        return names.index(name)
    asked = name.casefold().strip()
    synonyms = [_synonyms(known) for known in names]
    found = [number for number, parts in enumerate(synonyms) if asked in parts]
    if not found:
        words = set(_words(asked))
        found = [n for n, known in enumerate(names) if words and words <= set(_words(known))]
    if len(found) == 1:
        return found[0]
    rule = "A class is asked for by its name, or by a word that it alone has"
    if found:
        some = ", ".join(repr(names[number]) for number in found[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise ValueError(f"{rule}; {name!r} is in {some}{more}. Pass one of them whole.")
    places = {part: number for number, parts in enumerate(synonyms) for part in parts}
    places |= {word: number for number, known in enumerate(names) for word in _words(known)}
    near = dict.fromkeys(places[part] for part in difflib.get_close_matches(asked, places, n=3))
    hint = " or ".join(repr(names[number]) for number in near)
    some = ", ".join(map(repr, names[:8])) + (" …" if len(names) > 8 else "")
    raise ValueError(
        f"{rule}; no class is called {name!r}. "
        + (f"Did you mean {hint}?" if hint else f"There are {some}. Pass one of the names.")
    )


def _some(classes: Sequence[str], spec: Spec) -> list[int]:
    if isinstance(classes, str) or not classes:
        raise ValueError(
            f"Heat maps are drawn of a list of classes; received {classes!r}. Pass "
            f"[{spec.names[-1]!r}], for example."
        )
    return find(classes, spec.names)


def _synonyms(name: str) -> list[str]:
    return [part.strip() for part in name.casefold().split(",")]


def _words(name: str) -> list[str]:
    return re.findall(r"\w+", name.casefold())


def _scaled(grid: np.ndarray, size: tuple[int, int], model: keras.Model) -> np.ndarray:
    """The grid `[rows, columns, classes]` at each pixel, beyond the outer middles as there."""
    stride, window = registry.describe(model.spec.model).stride, model.get_layer("pad").minimum
    for axis in (0, 1):
        places = (np.arange(size[axis]) - (window - 1) / 2) / stride
        places = np.clip(places, 0, grid.shape[axis] - 1)
        before = np.minimum(places.astype(int), max(grid.shape[axis] - 2, 0))
        after = np.minimum(before + 1, grid.shape[axis] - 1)
        share = (places - before).reshape(-1, *[1] * (2 - axis)).astype(np.float32)
        grid = grid.take(before, axis) * (1 - share) + grid.take(after, axis) * share
    return grid


def _round_top(largest: float) -> float:
    """The smallest of 1, 0.5, 0.2, 0.1, … that is not below a probability.

    >>> _round_top(0.3), _round_top(0.08), _round_top(0.0)
    (0.5, 0.1, 1)
    """
    tops = [float(f"{digit}e-{power}") for power in range(1, 5) for digit in (1, 2, 5)]
    return min([top for top in tops if top >= largest > 0], default=1)
