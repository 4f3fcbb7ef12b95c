"""The corpus of the fuzzer, without the fuzzer."""

import re

import numpy as np
import pytest

from tests.fuzz.corpus import CASES, FOLDER
from tests.fuzz.fuzz_caffemodel import one_input
from zoo.weights import CaffeFileError, read_caffemodel


def test_the_files_are_those_of_the_table():
    files = {path.stem: path.read_bytes() for path in FOLDER.iterdir()}
    table = {name: content for name, (content, _) in CASES.items()}
    assert files == table, "run python tests/fuzz/corpus.py"
    assert len(files) <= 50
    assert sum(map(len, files.values())) <= 60_000


@pytest.mark.parametrize("name", CASES)
def test_a_file_is_read_or_refused(name):
    path, (_, reason) = FOLDER / f"{name}.caffemodel", CASES[name]
    if reason is None:
        for arrays in read_caffemodel(path).values():
            assert all(np.asarray(array).size for array in arrays)
        return
    with pytest.raises(CaffeFileError, match=re.escape(reason)):
        read_caffemodel(path)


@pytest.mark.parametrize("name", CASES)
def test_any_part_and_any_bit_changed_is_read_or_refused(name):
    content = CASES[name][0]
    for stop in range(len(content)):
        one_input(content[:stop])
    for position in range(min(len(content), 400)):
        for bit in range(8):
            flipped = content[position] ^ 1 << bit
            one_input(content[:position] + bytes([flipped]) + content[position + 1 :])
