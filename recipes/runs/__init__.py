"""The runs: one module each, whose docstring is its card and whose `RECIPE` is what is trained."""

import ast
import dataclasses
import difflib
import importlib
import pathlib

from recipes.training.recipe import Recipe


def names() -> list[str]:
    """The names of all runs, sorted."""
    files = pathlib.Path(__file__).parent.glob("*.py")
    return sorted(file.stem for file in files if not file.stem.startswith("_"))


def card(name: str) -> str:
    """The card of a run: paper, deviations, data, command, time, result. Nothing is imported.

    Raises:
        ValueError: No run has this name; the message holds the nearest names.
    """
    _check(name)
    file = pathlib.Path(__file__).with_name(f"{name}.py")
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""


def find(name: str) -> Recipe:
    """The recipe of a run, with the run's name in it.

    Raises:
        ValueError: No run has this name; the message holds the nearest names.
    """
    _check(name)
    return dataclasses.replace(importlib.import_module(f"recipes.runs.{name}").RECIPE, name=name)


def _check(name: str) -> None:
    if name in names():
        return
    near = difflib.get_close_matches(name.lower(), names(), n=3)
    hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    raise ValueError(
        f"A run is trained by its name; no run is called {name!r}. {hint}"
        "zoo train --list lists them."
    )
