"""`python -m exports …` is `zoo export …`."""

import sys

from zoo.__main__ import main

sys.exit(main(["export", *sys.argv[1:]]))
