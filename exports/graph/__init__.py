"""What an exported graph can be asked, and what it refuses.

Here are the names of its signatures and the default limits of a request; they need no TensorFlow.
"""

SERVING_DEFAULT = "serving_default"
CLASS_MAP_FROM_BYTES = "class_map_from_bytes"
MASK_PNG = "mask_png"
SCORES = "scores"
CLASS_NAMES = "class_names"
HEADS = "heads"

CLASS_MAP = "class_map"
"""The output of `SERVING_DEFAULT` and of `CLASS_MAP_FROM_BYTES`."""

# No image has more, whatever memory there is: it is decoded before the network starts.
MAX_PIXELS = 4096 * 4096
MAX_BATCH = 16
MAX_BYTES = 4 * MAX_PIXELS

MEMORY = 4.0
"""What a server may take by default, in GB of 10^9 bytes."""
