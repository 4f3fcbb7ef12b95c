"""A toy behind a stand-in for TensorFlow Serving, and the command that asks it."""

import contextlib
import pathlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from exports.command import ask
from exports.formats.saved_model import save
from exports.graph.signatures import signatures
from tests.support import serving_double as double
from tests.support.toys import build_toy, toy_images


@pytest.fixture(scope="session")
def model():
    return build_toy("unet")


@pytest.fixture(scope="session")
def served_with(model, tmp_path_factory) -> Callable[..., contextlib.AbstractContextManager]:
    """`served_with(**fields)`: the toy, served with these fields of its Spec."""

    def serve(**fields: object) -> contextlib.AbstractContextManager:
        directory = tmp_path_factory.mktemp("served")
        save(model, signatures(model, spec=model.spec.replace(**fields)), directory)
        return double.served(directory, "unet")

    return serve


@pytest.fixture(scope="session")
def served(served_with):
    """The toy without class names."""
    with served_with() as loaded:
        yield loaded


@pytest.fixture(scope="session")
def named(served_with):
    """The toy with class names and a background."""
    names = ("sky", "background", "sånd", "sun")
    with served_with(class_names=names, background=1) as loaded:
        yield loaded


@pytest.fixture(scope="session", params=["rest", "grpc_server"])
def url(served, request):
    with getattr(double, request.param)(served) as address:
        yield address


@pytest.fixture
def image(tmp_path) -> pathlib.Path:
    """An image in a file."""
    file = tmp_path / "image.png"
    Image.fromarray(toy_images("unet")[0].astype(np.uint8)).save(file)
    return file


@pytest.fixture
def said(capsys):
    """Runs the command, and returns its exit status and what it said."""

    def run(*arguments: object) -> tuple[int, str]:
        try:
            status = ask([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = stop.code
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return status, printed.out + printed.err

    return run
