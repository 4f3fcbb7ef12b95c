"""EdgeBoxes: what the boxes are, the two sources of edges, and what is missing."""

import sys
import types

import numpy as np
import pytest

from zoo.inference.edge_boxes import edge_boxes

pytest.importorskip("cv2.ximgproc")

BOX = (20, 30, 70, 100)  # x0, y0, x1, y1
NEAR = 6  # pixels by which the best box, which goes in steps, misses an edge


def scene(channels=3):
    image = np.full((120, 160, channels), 30, np.uint8)
    x0, y0, x1, y1 = BOX
    image[y0:y1, x0:x1] = 200
    return image


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_best_box_is_that_of_the_object(channels):
    found = edge_boxes(scene(channels))
    assert found.dtype == np.int32
    assert np.abs(found[0] - BOX).max() <= NEAR
    assert len(edge_boxes(scene(channels), most=3)) == 3


def test_edge_boxes_take_the_channel_with_the_edge():
    image = np.full((120, 160, 3), 90, np.uint8)
    x0, y0, x1, y1 = BOX
    image[y0:y1, x0:x1] = 130, 90, 50  # as bright as around it
    assert np.abs(edge_boxes(image)[0] - BOX).max() <= NEAR


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (50, 60)])
def test_an_image_without_edges_has_no_edge_boxes(size):
    assert edge_boxes(np.full((*size, 3), 7, np.uint8)).shape == (0, 4)


def test_a_structured_forest_finds_the_edges_where_there_is_one(tmp_path, monkeypatch):
    """A stand-in for the forest, whose edges are those of another box."""
    import cv2

    asked = []

    def detect(image):
        asked.append((image.dtype, image.max()))
        edges = np.zeros(image.shape[:2], np.float32)
        cv2.rectangle(edges, (90, 20), (139, 79), 1.0)
        return edges

    def turned(edges):
        turn = np.zeros(edges.shape, np.float32)
        turn[[20, 79]] = np.pi / 2
        return turn

    forest = types.SimpleNamespace(
        detectEdges=detect, computeOrientation=turned, edgesNms=lambda edges, turn: edges
    )
    monkeypatch.setattr(cv2.ximgproc, "createStructuredEdgeDetection", lambda file: forest)
    (tmp_path / "model.yml.gz").touch()
    found = edge_boxes(scene(), edges=tmp_path / "model.yml.gz")
    assert np.abs(found[0] - (90, 20, 140, 80)).max() <= NEAR
    assert asked == [(np.float32, np.float32(200 / 255))]


def test_a_file_that_is_no_forest_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.yml\.gz: edges is the file .*no such file"):
        edge_boxes(scene(), edges=tmp_path / "none.yml.gz")
    (tmp_path / "text").write_text("no forest")
    with pytest.raises(ValueError, match=r"or leave edges out, which takes gradients\.$"):
        edge_boxes(scene(), edges=tmp_path / "text")


def test_a_forest_is_for_rgb(tmp_path):
    with pytest.raises(ValueError, match=r"received 4 channels\. Leave edges out"):
        edge_boxes(scene(4), edges=tmp_path / "model.yml.gz")


def test_opencv_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2.ximgproc", None)
    with pytest.raises(ImportError) as error:
        edge_boxes(scene())
    assert str(error.value).startswith(
        "EdgeBoxes need OpenCV's contributed modules, which are not installed ("
    )
    assert str(error.value).endswith(
        'Install them: pip install "segmentation-zoo[proposals]", or give a list of boxes.'
    )
