"""The client, asked about a model with several heads."""

import pytest

import zoo
from exports.client import Class, ServerError, connected
from exports.formats.saved_model import save
from exports.graph.signatures import signatures
from tests.support import serving_double as double
from tests.support import several
from tests.support.several import HEADS, NAMES


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    model, directory = several.two_heads(), tmp_path_factory.mktemp("two")
    save(model, signatures(model, spec=model.spec), directory)
    with double.served(directory, "two") as loaded:
        yield loaded


@pytest.fixture(scope="module", params=["rest", "grpc_server"])
def two_url(two, request):
    with getattr(double, request.param)(two) as address:
        yield address


@pytest.fixture
def file(tmp_path):
    from PIL import Image

    pixels = several.images(several.two_heads())[0]
    Image.fromarray(pixels).save(tmp_path / "image.png")
    return tmp_path / "image.png"


@pytest.mark.parametrize("head", [None, *HEADS])
def test_the_head_that_is_named_is_asked(head, two_url, file, tmp_path, said):
    words = [] if head is None else ["--head", head]
    out = tmp_path / "out"
    status, printed = said(file, "--url", two_url, "--model", "two", "--out", out, *words)
    assert status == 0, printed
    image = zoo.images.read_image(file)
    expected = several.class_maps(several.two_heads(), image[None], head or "semantic")[0]
    several.assert_same(zoo.images.read_class_map(out / "image-mask.png"), expected)


def test_a_connection_names_the_heads_and_the_classes_of_each(two_url):
    with connected(two_url, "two") as server:
        assert server.heads() == HEADS
        assert server.of_head("semantic") == server
        geometric = server.of_head("geometric")
        assert geometric.class_of(0) == Class("flat", True, (0, 0, 0))
        assert [server.class_of(number).name for number in range(4)] == list(NAMES["semantic"])
        assert [geometric.class_of(number).name for number in range(3)] == list(NAMES["geometric"])


def test_an_unknown_head_is_told_with_those_there_are(two_url, file, tmp_path, said):
    words = (file, "--url", two_url, "--model", "two", "--out", tmp_path / "out", "--head", "other")
    status, printed = said(*words)
    assert status == 1
    assert (
        f"A head is chosen by its name; 'two' at {two_url} has the heads semantic and geometric, "
        "and received 'other'. Pass --head semantic, or another of them."
    ) in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("interface", ["rest", "grpc_server"])
def test_a_model_of_two_images_is_refused(interface, file, tmp_path, said):
    model, directory = several.late_fusion(), tmp_path / "late"
    save(model, signatures(model, spec=model.spec), directory)
    with double.served(directory, "late") as loaded, getattr(double, interface)(loaded) as address:
        status, printed = said(
            *(file, "--url", address, "--model", "late", "--out", tmp_path / "out")
        )
    assert status == 1
    assert "The model must be an export of this zoo that takes one image, with the" in printed
    assert not (tmp_path / "out").exists()


def test_a_model_of_one_head_has_none_to_choose(url):
    with connected(url, "unet") as server:
        assert server.heads() == ()
        with pytest.raises(ServerError, match=r"has one head, and received 'semantic'\. Leave"):
            server.of_head("semantic")


def test_a_refusal_of_another_kind_is_told_as_it_is(two_url, monkeypatch):
    def refused(*_: object) -> None:
        raise double.RefusedError("PERMISSION_DENIED", "nobody may ask")

    monkeypatch.setattr(double.Served, "takes", refused)
    with (
        connected(two_url, "two") as server,
        pytest.raises(ServerError, match=r"nobody may ask\. Pass what authorizes you"),
    ):
        server.of_head("geometric")
