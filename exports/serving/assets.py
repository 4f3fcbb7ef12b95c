"""What the class numbers mean, as text files beside a served graph: names and colours."""

import pathlib

from exports.graph.classes import Classes


def write(directory: pathlib.Path, classes: Classes, suffix: str = "") -> None:
    """Writes `assets/labels.txt` and `assets/colormap.txt`.

    `labels.txt` has a name on each line. A line of `colormap.txt` holds a class, its red, green,
    blue and alpha, and its name: the colour tables of GDAL (`gdaldem color-relief
    -exact_color_entry`) and QGIS (paletted renderer). `suffix` ends the names of the files of a
    further head, such as `labels_geometric.txt`.
    """
    assets = directory / "assets"
    assets.mkdir(exist_ok=True)
    labels = "".join(f"{name}\n" for name in classes.names)
    (assets / f"labels{suffix}.txt").write_text(labels, encoding="utf-8")
    lines = ["# class red green blue alpha name"]
    for number, (name, colour) in enumerate(zip(classes.names, classes.colours, strict=True)):
        red, green, blue = colour
        lines.append(f"{number} {red} {green} {blue} 255 {name}")
    (assets / f"colormap{suffix}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
