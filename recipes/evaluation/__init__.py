"""The scores of trained models and exported files."""
