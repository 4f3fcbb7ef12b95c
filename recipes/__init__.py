"""Programs that train; run from a clone. `python -m recipes` lists them."""
