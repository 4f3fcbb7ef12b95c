"""What an exported graph can be asked, and what it refuses.

Here are the names of its signatures and the default limits of a request; they need no TensorFlow.
"""

SERVING_DEFAULT = "serving_default"
CLASS_MAP_FROM_BYTES = "class_map_from_bytes"
MASK_PNG = "mask_png"
SCORES = "scores"
CLASS_NAMES = "class_names"

# A PNG of 410 kB can hold 12,000 × 12,000 pixels and cost 2 GB before the network starts.
MAX_PIXELS = 4096 * 4096
MAX_BATCH = 16
MAX_BYTES = 4 * MAX_PIXELS
