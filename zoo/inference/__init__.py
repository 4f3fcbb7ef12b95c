"""From an image of any size to its scores."""
