"""A net of several heads or inputs as one of one image and one head; the calls of its layers."""

import keras
import numpy as np
import pytest

import zoo
from tests.support.toys import build_toy, difference, toy_images, whole_toy
from zoo.calls import calls
from zoo.inference.reach import reach
from zoo.models.plain import plain

HEADS = ("semantic", "geometric")


def test_a_net_of_one_image_and_one_head_is_itself():
    model = build_toy("unet")
    assert plain(model) is model


@pytest.mark.parametrize("head", HEADS)
def test_one_head_of_two(head, tolerance):
    model = whole_toy("fcn8s_two_heads")
    images = toy_images("fcn8s_two_heads")
    one = plain(model, head)
    expected = model(images)[head]
    assert difference(one(images).numpy(), expected.numpy()) < tolerance.same
    assert one.spec == model.spec.of_head(head)
    assert one.spec.classes == expected.shape[-1]
    other = "_geo" if head == "semantic" else "_sem"
    assert not [layer.name for layer in one.layers if layer.name.endswith(other)]


def test_it_has_the_weights_of_the_model_and_not_copies():
    model = whole_toy("fcn32s_late_fusion")
    one = plain(model)
    assert one.input_shape == (None, None, None, 6)
    assert {id(x) for x in one.weights} == {id(x) for x in model.weights}
    images = toy_images("fcn32s_late_fusion")
    before = one(images).numpy()
    model.get_layer("score_frhha").bias.assign_add([1, 0, 0, 0])
    assert (one(images).numpy() - before)[..., 0].max() > 0.1


def test_the_channels_of_the_inputs_lie_one_behind_the_other(tolerance):
    model = whole_toy("fcn32s_late_fusion")
    images = toy_images("fcn32s_late_fusion")
    expected = model({"hha": images[..., 3:], "color": images[..., :3]}).numpy()
    assert difference(plain(model)(images).numpy(), expected) < tolerance.same
    turned = np.concatenate([images[..., 3:], images[..., :3]], -1)
    assert difference(plain(model)(turned).numpy(), expected) > 0.01


def test_late_fusion_is_the_mean_of_two_nets(tolerance):
    """Up-sampling is linear: it is the mean of two FCN-32s with the weights of its trunks."""
    model = whole_toy("fcn32s_late_fusion")
    images = toy_images("fcn32s_late_fusion")
    whole = plain(model)(images).numpy()
    options = {"classes": 4, "stages": (4, 6, 8, 8, 8), "fc_filters": 12}
    described = {
        "color": {"mean": (92.318, 97.203, 116.190)},
        "hha": {"mean": (132.431, 94.076, 118.477), "channel_order": (0, 1, 2)},
    }
    parts = []
    for (trunk, image), part in zip(described.items(), (slice(0, 3), slice(3, 6)), strict=True):
        net = zoo.build("fcn32s", **options, **image)
        for layer in net.layers:
            if layer.weights:
                layer.set_weights(model.get_layer(layer.name + trunk).get_weights())
        parts.append(net(images[..., part]).numpy())
    assert difference((parts[0] + parts[1]) / 2, whole) < tolerance.engine


@pytest.mark.parametrize(
    ("name", "head", "message"),
    [
        ("unet", "semantic", "'unet' has one, and received 'semantic'. Leave the head out."),
        (
            "fcn8s_two_heads",
            None,
            "has the heads semantic and geometric, of which one is chosen; received None. Pass "
            "head='semantic', or --head on the command line.",
        ),
        ("fcn8s_two_heads", "sem", "received 'sem'. Pass head='semantic'"),
        ("fcn32s_late_fusion", "color", "has one, and received 'color'. Leave the head out."),
    ],
)
def test_a_head_that_is_not_there(name, head, message):
    with pytest.raises(ValueError, match=message):
        plain(whole_toy(name), head)


def test_a_layer_that_is_called_twice_has_two_calls():
    """A net with one trunk for two images: its reach is that of the longer way."""
    image = keras.Input((None, None, 6))
    shared, then = (keras.layers.Conv2D(2, 3, padding="same", name=x) for x in ("shared", "then"))
    left, right = shared(image[..., :3]), shared(image[..., 3:])
    model = keras.Model(image, keras.layers.Add()([then(shared_again(left)), right]))
    names = [call.operation.name for call in calls(model)]
    assert names.count("shared") == 2
    assert names.index("then") > names.index("again") > names.index("shared")
    radius, stride = reach(model)
    assert (radius, stride) == (3 + 2, 1)  # three windows of 3, and two strides more


def shared_again(x: keras.KerasTensor) -> keras.KerasTensor:
    return keras.layers.Conv2D(2, 3, padding="same", name="again")(x)


def test_the_calls_are_those_of_the_model_and_not_of_one_that_shares_its_layers():
    model = whole_toy("fcn32s_late_fusion")
    before = [call.operation.name for call in calls(model)]
    one = plain(model)
    assert [call.operation.name for call in calls(model)] == before
    tensors = {id(x) for call in calls(model) for x in call.outputs}
    assert not tensors & {id(x) for call in calls(one) for x in call.outputs}
    assert reach(one) == reach(model) == reach(build_toy("fcn32s"))


@pytest.mark.parametrize("head", HEADS)
def test_loading_takes_the_one_head(head, tmp_path, tolerance):
    model = whole_toy("fcn16s_two_heads")
    path = zoo.weights.save(model, tmp_path / "net.weights.h5")
    images = toy_images("fcn16s_two_heads")
    one = zoo.load(path, head=head)
    assert difference(one(images).numpy(), model(images)[head].numpy()) < tolerance.same
    with pytest.raises(ValueError, match="has the heads semantic and geometric"):
        zoo.load(path, head="both")
