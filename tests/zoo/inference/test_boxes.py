"""Lists of boxes are read, and a wrong line is named."""

import numpy as np
import pytest

from zoo.inference import boxes


def test_an_image_has_its_boxes_in_the_order_of_the_lines(tmp_path):
    file = tmp_path / "boxes.csv"
    file.write_bytes("# mine\r\nb,5,6,7,8\r\na\r\n\r\nb,-1,2,3,4\r\n".encode("utf-16"))
    found = boxes.read(file)
    assert found["a"].shape == (0, 4)
    np.testing.assert_array_equal(found["b"], [(5, 6, 7, 8), (-1, 2, 3, 4)])
    assert found["b"].dtype == np.int32


@pytest.mark.parametrize("line", ["a,1,2,3", "a,1,2,1,4", "a,1,2,3,x", "a,1,2,3,4,5", ",1,2,3,4"])
def test_a_wrong_line_is_named(tmp_path, line):
    (tmp_path / "boxes.csv").write_text(f"b\n{line}\n")
    with pytest.raises(ValueError, match="a line is NAME,X0,Y0,X1,Y1 with X0 below X1") as error:
        boxes.read(tmp_path / "boxes.csv")
    assert str(error.value).endswith(f"or NAME only; received {line!r}. Correct it.")


def test_what_is_no_text_is_an_error(tmp_path):
    (tmp_path / "boxes.csv").write_bytes(b"\xff\x01\x80")
    with pytest.raises(ValueError, match=r"cannot be read as text .*\. Save it as UTF-8\.$"):
        boxes.read(tmp_path / "boxes.csv")
