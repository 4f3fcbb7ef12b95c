# `make demo` and `make test` need nothing but Python 3.11 to 3.13; all else goes into .venv.

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		2>/dev/null && { echo $$python; break; }; done)

.PHONY: demo test lint docs clean

demo: .venv/ready
	.venv/bin/python -m recipes.demonstration --workdir runs/demonstration

test: lint .venv/mediapipe/ready
	env $$(test -e .venv/mediapipe/ready && echo MEDIAPIPE_PYTHON=.venv/mediapipe/bin/python) \
		.venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

lint: .venv/ready
	.venv/bin/ruff check
	.venv/bin/ruff format --check

# The site, in build/site. A link to nowhere is an error.
docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --config-file docs/site/mkdocs.yml

# Done again only when what is installed changes: the stamp is written after a whole installation.
.venv/ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and none was found." \
		"Install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --constraint constraints.txt --editable '.[test]'
	.venv/bin/python -m pip install --constraint constraints.txt --editable '.[crf]' \
		|| echo "The CRF is not installed, which a C++ compiler is needed for: its tests are skipped."
	touch .venv/ready

# MediaPipe brings an OpenCV that would replace the one of the tests. Not every machine has a MediaPipe.
.venv/mediapipe/ready: .venv/ready
	$(PYTHON) -m venv .venv/mediapipe
	.venv/mediapipe/bin/python -m pip install --constraint constraints.txt mediapipe \
		&& touch .venv/mediapipe/ready || echo "MediaPipe is not installed: its tests are skipped."

clean:
	rm -rf .venv
