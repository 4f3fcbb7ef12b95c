"""`python -m recipes.data voc --data-dir …`: verifies a data set and says what is in it."""

import argparse
import pathlib
import sys

from recipes import data
from recipes.data.verify import verify


def main(arguments: list[str] | None = None) -> int:
    """Prints the pixels of each class in each split; 1 where an example cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m recipes.data", description=__doc__)
    parser.add_argument("name", choices=data.NAMES, help="the data set")
    parser.add_argument(
        "--data-dir", type=pathlib.Path, default=pathlib.Path("data"), help="where its files are"
    )
    options = parser.parse_args(arguments)
    try:
        for split, dataset in data.load(options.name, options.data_dir).items():
            pixels = verify(dataset)
            print(f"{split}: {len(dataset)} examples")
            for name, count in zip(dataset.class_names, pixels, strict=True):
                print(f"  {name:<16} {count:>14,} pixels  {count / pixels.sum():7.2%}")
    except data.DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
