"""Asks a model that TensorFlow Serving serves, and writes what it answers.

Needs NumPy and Pillow, for gRPC `grpcio` as well, and neither TensorFlow nor Keras.
"""

from exports.client.connection import Class, Connection, connected
from exports.client.masks import write_masks
from exports.client.transport import RefusedError, ServerError

__all__ = ["Class", "Connection", "RefusedError", "ServerError", "connected", "write_masks"]
