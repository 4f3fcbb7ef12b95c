"""One export of a toy for all tests that only read it."""

import pathlib

import pytest

import exports
from tests.support import specs
from tests.support.toys import TOYS, build_toy


@pytest.fixture(scope="session")
def unet_files(tmp_path_factory) -> dict[str, pathlib.Path]:
    """A SavedModel and a TFLite file of the toy U-Net. Copy what you change."""
    out, formats = tmp_path_factory.mktemp("files"), ["saved_model", "tflite"]
    return exports.export(build_toy("unet"), out, formats, size=TOYS["unet"].size, spec=specs.UNET)
