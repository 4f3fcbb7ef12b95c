"""Asks a model that TensorFlow Serving serves, and writes what it answers.

Needs NumPy and Pillow, for gRPC `grpcio` as well, and neither TensorFlow nor Keras.
"""

from exports.client.connection import Class, Connection, connected
from exports.client.errors import RefusedError, ServerError
from exports.client.masks import write_masks

__all__ = ["Class", "Connection", "RefusedError", "ServerError", "connected", "write_masks"]
