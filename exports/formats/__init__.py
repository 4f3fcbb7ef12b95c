"""One writer for each format of file."""

from exports.formats import exchange, saved_model, tflite

__all__ = ["exchange", "saved_model", "tflite"]
