"""Fuzzes the reader of `.caffemodel` files: it reads a file or raises CaffeFileError, nothing else.

    pip install 'segmentation-zoo[fuzz]'
    mkdir -p runs/fuzz
    python tests/fuzz/fuzz_caffemodel.py runs/fuzz tests/fuzz/corpus -runs=1000000 -max_len=2000

New inputs that reach further go to `runs/fuzz`; the corpus stays as it is. What the reader should
not do ends the run, and the input lies in `crash-…`: run the program with that file alone to see it
again, mend the reader, and add the case to `corpus.py`. All options: `-help=1`.
"""

import sys
import tempfile

import numpy as np


def one_input(content: bytes) -> None:
    """Reads a file with this content and uses all that is read."""
    # Imported here, after atheris is ready to watch its branches.
    from zoo.weights.caffe import CaffeFileError, read_caffemodel

    with tempfile.NamedTemporaryFile(suffix=".caffemodel") as file:
        file.write(content)
        file.flush()
        try:
            layers = read_caffemodel(file.name)
        except CaffeFileError:
            return
        assert layers
        blobs = [blob for arrays in layers.values() for blob in arrays]
        assert all(layers.values())
        assert 0 < sum(blob.nbytes for blob in blobs) <= len(content)
        for blob in blobs:
            assert blob.dtype in (np.float32, np.float64)
            assert len(blob.tobytes()) == blob.nbytes


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["zoo.weights.caffe"]):
        import zoo.weights.caffe  # noqa: F401
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
