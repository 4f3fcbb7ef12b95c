"""One export of a toy for all tests that only read it."""

import pathlib

import pytest


@pytest.fixture(scope="session")
def unet_files(exported_toy) -> dict[str, pathlib.Path]:
    """A SavedModel and a TFLite file of the toy U-Net. Copy what you change."""
    return {form: exported_toy("unet", form) for form in ("saved_model", "tflite")}
