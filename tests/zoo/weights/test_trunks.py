"""Where the trunks of the nets that fuse colour and depth, or have two heads, begin: from VGG, from
each other, and from two nets at once.
"""

import re

import keras
import numpy as np
import pytest

import zoo
from tests.parity.caffe import definitions
from tests.parity.caffe.engine import random_blobs
from tests.parity.caffe.messages import write_caffemodel
from tests.support.refusals import check_refused
from tests.support.toys import (
    OTHER_TOYS,
    VGG_TOY,
    build_toy,
    difference,
    keras_vgg,
    toy_images,
    whole_toy,
)
from zoo.weights import imagenet
from zoo.weights.trunks import own_name

# Their score layers are new: these tests look at the layers below.
pytestmark = pytest.mark.filterwarnings("ignore:encoder_weights left")

OPTIONS = VGG_TOY.options
VGG = {name: OPTIONS[name] for name in ("stages", "fc_filters")}


def weights_of(model: keras.Model, name: str) -> list[np.ndarray]:
    return model.get_layer(name).get_weights()


def check_equal(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.ravel(), other.ravel())


@pytest.fixture
def vgg_file(tmp_path):
    """Keras's VGG in toy widths with random weights, saved, and the net itself."""
    vgg = keras_vgg(**VGG)
    rng = np.random.default_rng(1)
    for weight in vgg.weights:
        weight.assign(rng.normal(size=weight.shape))
    vgg.save_weights(tmp_path / "vgg.weights.h5")
    return tmp_path / "vgg.weights.h5", vgg


@pytest.fixture
def caffe_file(tmp_path):
    """The authors' FCN-32s as a `.caffemodel`, and its blobs."""
    blobs = random_blobs(definitions.fcn_vgg("fcn32s", **OPTIONS))
    return write_caffemodel(tmp_path / "fcn32s.caffemodel", blobs), blobs


def test_early_fusion_begins_with_the_mean_kernel_for_the_depth(caffe_file):
    """The rule of the authors' solve.py on the blobs themselves, in Caffe's layout."""
    path, blobs = caffe_file
    model = zoo.build("fcn32s_early_fusion", **OPTIONS, encoder_weights=path)
    kernel, bias = blobs["conv1_1"]
    expected = np.empty((4, 4, 3, 3), "float32")  # filters, channels, rows, columns
    expected[:, :3], expected[:, 3] = kernel, kernel.mean(axis=1)
    found = weights_of(model, "conv1_1_bgrd")
    np.testing.assert_allclose(found[0].transpose(3, 2, 0, 1), expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(found[1], bias)
    np.testing.assert_array_equal(weights_of(model, "fc7")[1], blobs["fc7"][1])
    np.testing.assert_array_equal(weights_of(model, "score_fr")[1], blobs["score_fr"][1])


def test_early_fusion_sees_colour_as_the_net_it_begins_with(tmp_path, tolerance):
    """Where the depth is its mean, the extra channel is zero."""
    colour = build_toy("fcn32s", mean=(92.318, 97.203, 116.190))
    path = zoo.weights.save(colour, tmp_path / "colour.weights.h5")
    model = zoo.build("fcn32s_early_fusion", **OPTIONS, encoder_weights=path)
    images = toy_images("fcn32s")
    depth = np.full((*images.shape[:3], 1), 7.844, "float32")
    found = model(np.concatenate([images, depth], -1)).numpy()
    assert difference(found, colour(images).numpy()) < tolerance.engine
    nearer = model(np.concatenate([images, depth - 1], -1)).numpy()
    assert difference(nearer, found) > 1e-4


@pytest.mark.parametrize("given", ["a file", "imagenet"])
@pytest.mark.parametrize("name", sorted(OTHER_TOYS))
def test_vgg_fills_every_trunk(name, given, vgg_file, monkeypatch):
    path, vgg = vgg_file
    if given == "imagenet":
        monkeypatch.setattr(imagenet, "VGG", {"conv5_3": lambda *, weights: vgg})
        monkeypatch.setattr(imagenet, "SHAPES", {"conv1_1": (3, 3, 3, 4)})
        path = "imagenet"
    model = zoo.build(name, **OTHER_TOYS[name].options, encoder_weights=path)
    trunks = ("color", "hha") if name == "fcn32s_late_fusion" else ("",)
    for trunk in trunks:
        for layer in vgg.layers:
            ours = imagenet.author_name(layer.name)
            if not layer.weights or ours == "fc8":
                continue
            fused = (name, ours) == ("fcn32s_early_fusion", "conv1_1")
            kernel, bias = weights_of(model, "conv1_1_bgrd" if fused else ours + trunk)
            check_equal([kernel[:, :, :3] if fused else kernel, bias], layer.get_weights())


@pytest.mark.parametrize("form", ["caffemodel", "weights.h5"])
def test_late_fusion_begins_with_two_nets(form, tmp_path, tolerance):
    """As the authors' did, and its answer is then the mean of theirs."""
    described = {
        "color": {"mean": (92.318, 97.203, 116.190)},
        "hha": {"mean": (132.431, 94.076, 118.477), "channel_order": (0, 1, 2)},
    }
    images, paths, scores = toy_images("fcn32s_late_fusion"), {}, []
    for number, (trunk, image) in enumerate(described.items()):
        path = tmp_path / f"{trunk}.{form}"
        if form == "caffemodel":
            net = definitions.fcn_vgg("fcn32s", **OPTIONS)
            write_caffemodel(path, random_blobs(net, seed=number))
            one = zoo.build("fcn32s", **OPTIONS, **image, weights=path)
        else:
            one = build_toy("fcn32s", **image)
            one.get_layer("score_fr").bias.assign_add([0, number, 0, 0])
            zoo.weights.save(one, path)
        paths[trunk] = path
        scores.append(one(images[..., 3 * number : 3 * number + 3]).numpy())
    model = zoo.build("fcn32s_late_fusion", **OPTIONS, encoder_weights=paths)
    assert "encoder_weights" not in model.spec.options
    found = model({"color": images[..., :3], "hha": images[..., 3:]}).numpy()
    assert difference(found, sum(scores) / 2) < tolerance.engine
    assert difference(found, scores[0]) > 1e-3
    told = []
    zoo.weights.load(model, encoder_weights=paths, progress=lambda *n: told.append(n))
    assert told[-1] == (model.count_params(), model.count_params())


def test_late_fusion_begins_with_itself(tmp_path):
    before = whole_toy("fcn32s_late_fusion")
    path = zoo.weights.save(before, tmp_path / "late.weights.h5")
    after = zoo.build("fcn32s_late_fusion", **OPTIONS, encoder_weights=path)
    check_equal(after.get_weights(), before.get_weights())


@pytest.mark.parametrize(
    ("coarse", "fine", "pool"),
    [
        ("fcn32s_two_heads", "fcn16s_two_heads", "score_pool4"),
        ("fcn16s_two_heads", "fcn8s_two_heads", "score_pool3"),
    ],
)
def test_a_finer_net_of_two_heads_begins_with_the_coarser(coarse, fine, pool, tmp_path):
    before = whole_toy(coarse)
    path = zoo.weights.save(before, tmp_path / "coarse.weights.h5")
    after = zoo.build(fine, **OTHER_TOYS[fine].options, encoder_weights=path)
    names = {layer.name for layer in before.layers if layer.weights}
    added = {layer.name for layer in after.layers if layer.weights} - names
    assert added == {f"{pool}_sem", f"{pool}_geo"}
    assert not any(weight.any() for name in added for weight in weights_of(after, name))
    for name in names:
        check_equal(weights_of(after, name), weights_of(before, name))


def test_a_head_for_other_classes_stays_as_it_is(tmp_path):
    before = whole_toy("fcn32s_two_heads")
    path = zoo.weights.save(before, tmp_path / "net.weights.h5")
    options = OTHER_TOYS["fcn32s_two_heads"].options | {"geometric_classes": 5}
    with pytest.warns(UserWarning, match="left score_fr_geo at zero, so fcn32s_two_heads answers"):
        after = zoo.build("fcn32s_two_heads", **options, encoder_weights=path)
    assert not any(weight.any() for weight in weights_of(after, "score_fr_geo"))
    check_equal(weights_of(after, "score_fr_sem"), weights_of(before, "score_fr_sem"))
    text = (
        r"  score_fr_geo: \[1, 1, 12, 3\] and \[3\] in the file, \[1, 1, 12, 5\] and \[5\] in "
        "fcn32s_two_heads; trained with geometric_classes=3\n"
    )
    net = zoo.build("fcn32s_two_heads", **options)
    path.unlink()  # keras's own file says no options
    before.save_weights(path)
    (tmp_path / "net.weights.h5.sha256").unlink()
    with pytest.raises(ValueError, match=text):
        zoo.weights.load(net, weights=path)


def late(**more):
    return zoo.build("fcn32s_late_fusion", **OPTIONS | more)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        (
            "fcn32s",
            {"color": "a", "hha": "b"},
            "A model of one trunk takes one file; fcn32s received 'color', 'hha'. Pass the path "
            "alone.",
        ),
        (
            "fcn32s_late_fusion",
            {"color": "a"},
            "encoder_weights of fcn32s_late_fusion has a file for each of its trunks, color and "
            "hha; received 'color'. Pass {'color': …, 'hha': …}, or one path for all.",
        ),
        ("fcn32s_late_fusion", {}, "color and hha; received none. Pass {'color': …, 'hha'"),
        ("fcn32s_late_fusion", {"color": "a", "depth": "b"}, "received 'color', 'depth'. Pass"),
    ],
)
def test_files_for_trunks_that_are_not_there(name, given, message):
    model = zoo.build(name, **OTHER_TOYS.get(name, VGG_TOY).options)
    before = model.get_weights()
    with pytest.raises(ValueError, match=re.escape(message)):
        zoo.weights.load(model, encoder_weights=given)
    check_equal(model.get_weights(), before)


def test_what_does_not_fit_one_trunk_leaves_both_unchanged(tmp_path, caffe_file):
    whole, blobs = caffe_file
    del blobs["fc6"]
    part = write_caffemodel(tmp_path / "part.caffemodel", blobs)
    model = late()
    before = model.get_weights()
    text = f"the whole trunk of fcn32s_late_fusion; {part} lacks fc6. Give weights that hold"
    with pytest.raises(zoo.weights.CaffeFileError, match=re.escape(text)):
        zoo.weights.load(model, encoder_weights={"color": whole, "hha": part})
    check_equal(model.get_weights(), before)


def test_early_fusion_of_another_number_of_channels_is_refused(caffe_file):
    path, _ = caffe_file
    check_refused(
        zoo.build("fcn32s_early_fusion", **OPTIONS, channels=6),
        path,
        "  conv1_1_bgrd: [3, 3, 3, 4] and [4] in the file, [3, 3, 6, 4] and [4] in "
        "fcn32s_early_fusion\n",
        option="encoder_weights",
        kind=zoo.weights.CaffeFileError,
    )


def test_imagenet_for_early_fusion_names_its_channels():
    check_refused(
        zoo.build("fcn32s_early_fusion", **OPTIONS),
        "imagenet",
        "conv1_1_bgrd of this fcn32s_early_fusion has the shape [3, 3, 4, 4] and not "
        "[3, 3, 4, 64]. Build with channels=4 and leave the widths as they are.",
        option="encoder_weights",
    )


def test_the_semantic_scores_of_a_file_with_two_heads_are_not_those_of_one(tmp_path):
    """Its trunk fills a net with one head; the scores have names of their own."""
    net = definitions.siftflow("fcn32s", geometric_classes=3, **OPTIONS)
    path = write_caffemodel(tmp_path / "net.caffemodel", random_blobs(net))
    model = zoo.build("fcn32s", **OPTIONS, encoder_weights=path)
    assert not any(weight.any() for weight in weights_of(model, "score_fr"))
    with pytest.raises(zoo.weights.CaffeFileError, match="not in the file: score_fr, upscore\n"):
        zoo.build("fcn32s", **OPTIONS, weights=path)


def test_googlenet_is_filled_by_bvlcs_file_without_its_classifiers(tmp_path):
    net = definitions.fcn_googlenet(classes=4, filters=8)
    blobs = random_blobs(net)
    trunk = {name: x for name, x in blobs.items() if not name.startswith(("score", "upscore"))}
    assert len(trunk) == 57  # 3 convolutions, and 6 in each of 9 modules
    rng = np.random.default_rng(0)
    others = {
        f"loss{n}/{layer}": [rng.normal(size=(4, 4)).astype("float32")]
        for n in (1, 2, 3)
        for layer in ("conv", "fc", "classifier")
    }
    file = tmp_path / "bvlc_googlenet.caffemodel"
    write_caffemodel(file, trunk | others, v1=True, legacy_shapes=True)
    model = zoo.build("fcn_googlenet", classes=4, filters=8, encoder_weights=file)
    for name, (kernel, bias) in trunk.items():
        found = weights_of(model, name.replace("/", "_"))
        check_equal(found, [kernel.transpose(2, 3, 1, 0), bias])
    del trunk["inception_4c/5x5"]
    write_caffemodel(file, trunk)
    with pytest.raises(zoo.weights.CaffeFileError, match=r"lacks inception_4c_5x5\. Give weights"):
        zoo.build("fcn_googlenet", classes=4, filters=8, encoder_weights=file)


@pytest.mark.parametrize(
    ("name", "trunk", "expected"),
    [("fc6hha", "hha", "fc6"), ("conv1_1_bgrd", "", "conv1_1"), ("score_fr", "", "score_fr")],
)
def test_the_name_of_a_layer_where_it_comes_from(name, trunk, expected):
    assert own_name(name, trunk) == expected
