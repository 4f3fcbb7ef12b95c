"""What the class numbers mean, as text beside a served graph: their names and their colours."""

import pathlib
from collections.abc import Sequence

from zoo.pictures import voc_palette


def check_names(class_names: Sequence[str], classes: int) -> None:
    """Raises ValueError unless there is a line of text for each class."""
    if len(class_names) != classes:
        raise ValueError(
            f"Each of the {classes} classes has one name; received {len(class_names)} names. "
            "Give one for each class, in the order of their numbers."
        )
    broken = [name for name in class_names if not name.strip() or name.splitlines() != [name]]
    if broken:
        raise ValueError(
            f"A class name is one line of text that is not empty; received {broken[0]!r}. "
            "Rename the class."
        )


def write(directory: pathlib.Path, classes: int, class_names: Sequence[str] | None) -> None:
    """Writes `assets/colormap.txt` and `assets/labels.txt`.

    The colours are PASCAL VOC's, those of `zoo.pictures.save_class_map`. A line holds a class, its
    red, green, blue and alpha, and its name: the colour tables of GDAL (`gdaldem color-relief
    -exact_color_entry`) and QGIS (paletted renderer). `labels.txt` has a name on each line, or the
    class's number.
    """
    assets = directory / "assets"
    assets.mkdir(exist_ok=True)
    labels = "".join(f"{name}\n" for name in class_names or range(classes))
    (assets / "labels.txt").write_text(labels, encoding="utf-8")
    lines = ["# class red green blue alpha name"]
    for number, (red, green, blue) in enumerate(voc_palette(classes)):
        name = "" if class_names is None else f" {class_names[number]}"
        lines.append(f"{number} {red} {green} {blue} 255{name}")
    (assets / "colormap.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
