"""Fonts for names in any script: Pillow's own, else one of the system that has the letters.

Right-to-left and joined scripts are laid out as Pillow does: well where it has Raqm and FriBiDi, as
in its wheels on Linux and macOS; elsewhere letter by letter, from left to right.
"""

import functools
import itertools
import os
import pathlib
import sys
import unicodedata
import warnings
from collections.abc import Iterable, Iterator

from PIL import ImageFont

ENDINGS = (".ttf", ".otf", ".ttc", ".otc")
MAX_FONTS = 3000  # that are tried; a large installation has some hundreds

_TRIED_SIZE = 16
_NO_CHARACTER = "\U0010ffff"  # for which a font draws what stands for a missing letter
_STYLES = ("bold", "italic", "oblique", "light", "thin", "black", "condensed", "mono", "emoji")


def for_names(
    names: Iterable[str], size: int, *, font: str | os.PathLike | None = None
) -> list[ImageFont.FreeTypeFont]:
    """A font for each name, in pixels. It warns, once for the same letters, if some have none.

    Args:
        names: Each on one line.
        size: Of the letters, in pixels.
        font: The path of a font file for all names; by default Pillow's font, or for a name with
            other letters the first of the system's fonts that has them.

    Raises:
        ValueError: `font` is no font file.
    """
    names = list(names)
    chosen = dict.fromkeys(names, None if font is None else os.fspath(font))
    if font is None:
        chosen = {name: _path_for(_letters(name)) for name in names}
    loaded = {path: load(path, size) for path in set(chosen.values())}
    tried = {path: load(path) for path in loaded}
    missing = "".join(sorted({x for name in names for x in _lacking(tried[chosen[name]], name)}))
    if missing:
        _warn(missing, font is None)
    return [loaded[chosen[name]] for name in names]


def load(path: str | None, size: int = _TRIED_SIZE) -> ImageFont.FreeTypeFont:
    """The font of a file, in pixels; Pillow's own for None.

    Raises:
        ValueError: It is no font file.
    """
    if path is None:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(path, size)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"A font is a TrueType or OpenType file; {path} is none ({error}). Pass another, or "
            "none to search the system's fonts."
        ) from error


@functools.lru_cache(maxsize=1024)
def _path_for(letters: frozenset[str]) -> str | None:
    """The font with most of the letters, the first of equals; None for Pillow's own."""
    best, fewest = None, len(_lacking(load(None), letters))
    for path in itertools.islice(_system_fonts(), MAX_FONTS) if fewest else ():
        try:
            lacking = len(_lacking(load(path), letters))
        except ValueError:
            continue
        if lacking < fewest:
            best, fewest = path, lacking
        if not lacking:
            break
    return best


def _lacking(font: ImageFont.FreeTypeFont, letters: Iterable[str]) -> list[str]:
    missing = _drawn(font, _NO_CHARACTER)
    return [x for x in _letters("".join(letters)) if _drawn(font, x) == missing]


def _drawn(font: ImageFont.FreeTypeFont, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)


def _letters(name: str) -> frozenset[str]:
    """The characters of a name that draw something by themselves."""
    return frozenset(x for x in name if unicodedata.category(x) not in ("Zs", "Cf", "Cc"))


@functools.cache  # once for the same letters, however many pictures are drawn
def _warn(missing: str, searched: bool) -> None:
    where, remedy = "The font has not", "Pass another, or none to search the system's fonts."
    if searched:
        where = "No font of this system has"
        remedy = (
            "Install one that has them, such as Noto Sans, or pass its file as --font of zoo ask "
            "(in Python font=)."
        )
    warnings.warn(f"{where} {missing[:40]!r}; boxes stand in their place. {remedy}", stacklevel=5)


@functools.cache
def _found(folder: str) -> tuple[str, ...]:
    files = sorted(
        os.path.join(place, name)
        for place, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(ENDINGS)
    )
    return tuple(sorted(files, key=lambda file: any(x in file.lower() for x in _STYLES)))


def _system_fonts() -> Iterator[str]:
    """The font files of the user and the system, regular ones first in each folder."""
    return itertools.chain.from_iterable(_found(str(folder)) for folder in font_folders())


def font_folders() -> list[pathlib.Path]:
    """Where this system keeps its fonts."""
    home = pathlib.Path.home()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", home / "AppData/Local")
        windows = os.environ.get("WINDIR", "C:/Windows")
        return [pathlib.Path(local, "Microsoft/Windows/Fonts"), pathlib.Path(windows, "Fonts")]
    if sys.platform == "darwin":
        roots = (home / "Library", pathlib.Path("/Library"), pathlib.Path("/System/Library"))
        return [root / "Fonts" for root in roots]
    data = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    own = (home / ".fonts", home / ".local/share/fonts")
    return [*own, *(pathlib.Path(folder, "fonts") for folder in data.split(":") if folder)]
