"""`python -m recipes` is `zoo train`."""

import sys

from zoo.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
