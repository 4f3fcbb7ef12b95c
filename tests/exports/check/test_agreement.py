"""When a class map agrees with scores: ties may turn, and nothing else."""

import numpy as np
import pytest

from exports import check


def ties(count: int, behind: float, side: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Scores from 0 to 1, and a class map that takes the second best in `count` pixels."""
    scores = np.tile(np.float32([0, 1, 1 - behind]), (1, side, side, 1))
    class_map = np.ones((1, side, side), np.uint8)
    class_map.flat[:count] = 2
    return class_map, scores


def test_ties_may_turn_and_nothing_else():
    found = check.compare("here", "this", *ties(1, behind=0.5 * check.ROUNDING))
    assert (found.agreement, found.ties, found.classes) == (0.9999, 1, 1)
    assert str(found) == (
        "here, this: 99.9900% of the pixels agree (1 others are ties), classes that occur: 1"
    )
    with pytest.raises(
        check.MismatchError, match=r"here, this: 99\.9900%.* 1 are off .*by up to 2.0e-04"
    ):
        check.compare("here", "this", *ties(1, behind=2 * check.ROUNDING))
    with pytest.raises(
        check.MismatchError, match=r"99\.9800% .* 0 are off .*; 2 are ties, where 1 may"
    ):
        check.compare("here", "this", *ties(2, behind=0.5 * check.ROUNDING))


def test_one_tie_may_turn_in_an_image_of_any_size():
    small = {"behind": 0.5 * check.ROUNDING, "side": 20}
    assert check.compare("here", "this", *ties(1, **small)).ties == 1
    with pytest.raises(check.MismatchError, match="2 are ties, where 1 may be"):
        check.compare("here", "this", *ties(2, **small))


def test_a_file_may_be_allowed_to_differ():
    differing = ties(100, behind=0.5)
    assert check.compare("here", "this", *differing, least=0.99).agreement == 0.99
    with pytest.raises(check.MismatchError, match=r"99\.0000%.* 100 are off"):
        check.compare("here", "this", *differing, least=0.9901)


def test_another_shape_or_a_class_that_is_none_is_a_mismatch():
    class_map, scores = ties(0, 0.5)
    for wrong in (class_map[:, 1:], class_map + 2):
        with pytest.raises(check.MismatchError, match="here, this: the class map is"):
            check.compare("here", "this", wrong, scores)
