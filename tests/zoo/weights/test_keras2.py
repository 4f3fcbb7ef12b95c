"""`.h5` files of Keras 2, in which many trunks were published, Keras's own VGG-16 among them."""

import re

import h5py
import numpy as np
import pytest

import zoo
from tests.support.toys import TOYS, build_toy, keras_vgg

# Their score layers are new: these tests look at the layers below.
pytestmark = pytest.mark.filterwarnings("ignore:encoder_weights left")

FCN = TOYS["fcn8s"].options
VGG = {"stages": FCN["stages"], "fc_filters": FCN["fc_filters"]}
# How an array is called: in the files of keras.applications, and in later ones.
FORMS = {
    "applications": {"kernel": "{layer}_W_1:0", "bias": "{layer}_b_1:0"},
    "later": {"kernel": "{layer}/kernel:0", "bias": "{layer}/bias:0"},
}


def write(path, model, form="later", *, whole=False):
    """Writes what Keras 2 wrote: a group of each layer, whose arrays may lie in another group."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole else file
        root.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        if whole:
            file.create_group("optimizer_weights")["Adam/iterations:0"] = 3
        for layer in model.layers:
            group = root.create_group(layer.name)
            names = [FORMS[form][x.name].format(layer=layer.name) for x in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, array in zip(names, layer.get_weights(), strict=True):
                group[name] = array
    return path


@pytest.mark.parametrize("whole", [False, True], ids=["weights", "model"])
@pytest.mark.parametrize("form", FORMS)
def test_vgg_fills_the_trunk(form, whole, tmp_path):
    vgg = keras_vgg(**VGG)
    path = write(tmp_path / "vgg16.h5", vgg, form, whole=whole)
    model = zoo.build("fcn8s", **FCN, encoder_weights=path)
    for ours, theirs in [("conv1_1", "block1_conv1"), ("conv5_3", "block5_conv3"), ("fc6", "fc1")]:
        for weight, expected in zip(
            model.get_layer(ours).get_weights(), vgg.get_layer(theirs).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(weight.ravel(), expected.ravel())


def test_a_whole_net_comes_back(tmp_path):
    saved = build_toy("fcn8s")
    again = zoo.build("fcn8s", **FCN, weights=write(tmp_path / "net.h5", saved))
    for ours, theirs in zip(again.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file["fc6/fc6"].create_dataset("other:0", data=1.0), "other:0 is not a w"),
        (lambda file: file["fc6/fc6"].move("bias:0", "bias_1:0"), None),
        (
            lambda file: file["fc6/fc6"].create_dataset("b:0", data=[1.0]),
            "  fc6: [7, 7, 8, 12] and",
        ),
        (
            lambda file: file["fc6/fc6"].create_dataset("x_bias:0", data=[1.0]),
            "is not a weight of a l",
        ),
        (lambda file: file.create_dataset("fc8", data=[1.0]), "/fc8 is not a group"),
        (lambda file: file.__setitem__("fc8", h5py.SoftLink("/fc7")), "/fc8 is missing or a link"),
        (
            lambda file: file["drop6"].__setitem__("loop", file["drop6"]),
            "holds models: /drop6/loop/loop",
        ),
        (lambda file: file["fc7/fc7"].__delitem__("kernel:0"), "  fc7: [12] in the file"),
        (lambda file: file.__delitem__("fc7"), "not in the file: fc7"),
    ],
)
def test_other_contents(change, message, tmp_path):
    path = write(tmp_path / "net.h5", build_toy("fcn8s"))
    with h5py.File(path, "a") as file:
        change(file)
    if message is None:
        zoo.build("fcn8s", **FCN, weights=path)
        return
    with pytest.raises(ValueError, match=re.escape(message)):
        zoo.build("fcn8s", **FCN, weights=path)
