"""Asks TensorFlow Serving for masks, from a machine that needs no TensorFlow."""

from exports.client.server import ServerError, connected

__all__ = ["ServerError", "connected"]
