"""One loader for each runtime, all called alike."""
