"""The scores of anything that answers."""
