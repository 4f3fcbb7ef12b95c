"""The networks are the authors': counts, names, shapes, fields and first values, at full size.

Numbers are those of the papers and of the definitions in shelhamer/fcn.berkeleyvision.org and
HyeonwooNoh/DeconvNet.
"""

import inspect
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests.parity.caffe import definitions
from tests.support.references import deconvolve
from tests.support.toys import OTHER_TOYS, TOYS, build_toy, difference, scores_of, toy_images
from zoo.calls import calls
from zoo.inference.reach import window_of
from zoo.models.plain import plain
from zoo.models.without_values import without_values
from zoo.weights.layouts import fixed_blobs

# The size of each layer's output, height = width, for an image of 500 × 500 pixels.
VGG_SIZES = {
    "conv1_1": 698,
    "conv1_2": 698,
    "pool1": 349,
    "conv2_2": 349,
    "pool2": 175,
    "conv3_3": 175,
    "pool3": 88,
    "conv4_3": 88,
    "pool4": 44,
    "conv5_3": 44,
    "pool5": 22,
    "fc6": 16,
    "fc7": 16,
    "score_fr": 16,
    "score": 500,
}
SIZES = {
    "fcn_alexnet": {
        "conv1": 173,
        "pool1": 86,
        "norm1": 86,
        "conv2": 86,
        "pool2": 43,
        "norm2": 43,
        "conv3": 43,
        "conv4": 43,
        "conv5": 43,
        "pool5": 21,
        "fc6": 16,
        "fc7": 16,
        "score_fr": 16,
        "upscore": 543,
        "score": 500,
    },
    "fcn32s": VGG_SIZES | {"upscore": 544},
    "fcn16s": VGG_SIZES
    | {"upscore2": 34, "score_pool4": 44, "score_pool4c": 34, "fuse_pool4": 34, "upscore16": 560},
    "fcn8s": VGG_SIZES
    | {"upscore2": 34, "score_pool4": 44, "score_pool4c": 34, "fuse_pool4": 34}
    | {"upscore_pool4": 70, "score_pool3": 88, "score_pool3c": 70, "fuse_pool3": 70}
    | {"upscore8": 568},
}
SIZES["fcn8s_atonce"] = SIZES["fcn8s"] | {"scale_pool4": 44, "scale_pool3": 88}

DECONVNET_SIZES = (
    {f"pool{stage}": 224 >> stage for stage in range(1, 6)}
    | {"fc6": 1, "fc7": 1, "fc6-deconv": 7, "seg-score-voc": 224, "score": 224}
    | {f"unpool{stage}": 224 >> (stage - 1) for stage in range(1, 6)}
    | {f"deconv{stage}_1": 224 >> (stage - 1) for stage in range(1, 6)}
)
UNET_SIZES = {
    "conv_d0a-b": 570,
    "conv_d0b-c": 568,
    "pool_d0c-1a": 284,
    "conv_d1b-c": 280,
    "conv_d2b-c": 136,
    "conv_d3b-c": 64,
    "pool_d3c-4a": 32,
    "conv_d4a-b": 30,
    "conv_d4b-c": 28,
    "upconv_d4c_u3a": 56,
    "crop_d3c-d3cc": 56,
    "conv_u3c-d": 52,
    "upconv_u3d_u2a": 104,
    "conv_u2c-d": 100,
    "upconv_u2d_u1a": 200,
    "conv_u1c-d": 196,
    "upconv_u1d_u0a": 392,
    "crop_d0c-d0cc": 392,
    "conv_u0b-c": 390,
    "conv_u0c-d": 388,
    "conv_u0d-score": 388,
}


def sizes_at(model: keras.Model, size: int | tuple[int, int]) -> dict[str, tuple]:
    """The shape that each layer gives for an image, or a square one; nothing is computed."""
    height, width = (size, size) if isinstance(size, int) else size
    # Not the outputs of the layers: one that models share has those of all of them.
    made = [x for x in calls(model) if not isinstance(x.operation, keras.layers.InputLayer)]
    image = keras.KerasTensor((1, height, width, model.inputs[0].shape[-1]))
    outputs = [call.outputs[0] for call in made]
    with without_values():
        specs = keras.Model(model.input, outputs).compute_output_spec(image)
    return {call.operation.name: spec.shape for call, spec in zip(made, specs, strict=True)}


def check_sizes(model: keras.Model, image_size: int, expected: dict[str, int]) -> None:
    shapes = sizes_at(model, image_size)
    assert {name: shapes[name][1:3] for name in expected} == {
        name: (size, size) for name, size in expected.items()
    }


def trainable(model: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize("name", SIZES)
def test_fcn_has_the_authors_counts_and_sizes(name):
    with without_values():
        model = zoo.build(name)
    # The fixed bilinear kernels and the at-once scales hold no weights here.
    assert model.count_params() == trainable(model) == zoo.describe(name).parameters
    check_sizes(model, 500, SIZES[name])
    for layer in zoo.build(name, **TOYS[name].options).layers:
        if layer.name.startswith("score_") and layer.weights:
            assert not any(weights.any() for weights in layer.get_weights()), layer.name


# All numbers of the authors' files, with those of the dense, fixed deconvolutions; and without.
OTHER_COUNTS = {
    "fcn32s_two_heads": (138_905_444, 134_408_036),
    "fcn16s_two_heads": (135_568_424, 134_426_504),
    "fcn8s_two_heads": (134_751_980, 134_435_756),
    "fcn32s_early_fusion": (140_978_600, 134_425_000),
    "fcn32s_late_fusion": (275_402_448, 268_848_848),
}


@pytest.mark.parametrize("name", OTHER_COUNTS)
def test_nets_of_several_heads_or_inputs_have_the_authors_counts_and_sizes(name):
    with without_values():
        model = zoo.build(name)
        everything, learned = OTHER_COUNTS[name]
        assert model.count_params() == trainable(model) == zoo.describe(name).parameters == learned
        fixed = fixed_blobs(model)
        assert learned + sum(blob.size for blob in fixed.values()) == everything
        for head, suffixes in {
            "fusion": {None: ("color", "hha") if "late" in name else ("",)},
            "heads": {"semantic": ("_sem",), "geometric": ("_geo",)},
        }[name.rpartition("_")[2]].items():
            one = plain(model, head)
            for suffix in suffixes:
                check_sizes(one, 500, _renamed(SIZES[name.partition("_")[0]], one, suffix))
    for layer in zoo.build(name, **OTHER_TOYS[name].options).layers:
        if layer.name.startswith("score_") and layer.weights:
            assert not any(weights.any() for weights in layer.get_weights()), layer.name


def _renamed(sizes: dict[str, int], model: keras.Model, suffix: str) -> dict[str, int]:
    """The sizes by the names of the layers, which end in a suffix or are those of all trunks."""
    own, found = {layer.name for layer in model.layers}, {}
    for name, size in sizes.items():
        crop = re.fullmatch(r"(score_pool\d)c", name)
        name = "conv1_1_bgrd" if name == "conv1_1" and "conv1_1_bgrd" in own else name
        ours = f"{crop[1]}{suffix}c" if crop else name + suffix
        found[ours if ours in own else name] = size
    return found


GOOGLENET_SIZES = {
    "conv1_7x7_s2": 361,
    "pool1_3x3_s2": 180,
    "conv2_3x3": 180,
    "pool2_3x3_s2": 90,
    "inception_3b_output": 90,
    "pool3_3x3_s2": 45,
    "inception_4e_output": 45,
    "pool4_3x3_s2": 22,
    "inception_5b_output": 22,
    "pool5_7x7_s1": 16,
    "score_fr": 16,
    "upscore": 543,
    "score": 500,
}


def test_fcn_googlenet_has_the_counts_of_its_papers():
    """5,973,552 numbers in the convolutions of BVLC's definition; the scores are 1024 × 21 + 21."""
    with without_values():
        model = zoo.build("fcn_googlenet")
    assert model.count_params() == trainable(model) == 5_973_552 + 21_525
    assert zoo.describe("fcn_googlenet").parameters == 5_995_077
    check_sizes(model, 500, GOOGLENET_SIZES)
    widths = {"3a": 256, "3b": 480, "4a": 512, "4d": 528, "4e": 832, "5a": 832, "5b": 1024}
    shapes = sizes_at(model, 500)
    assert {module: shapes[f"inception_{module}_output"][-1] for module in widths} == widths
    assert depth_of(model) == 22  # the first three, two in each module, and the scores
    net = definitions.fcn_googlenet(classes=21, filters=64)
    stated = sum(int(np.prod(shape)) for shapes in net.shapes.values() for shape in shapes)
    assert stated == model.count_params()


def depth_of(model: keras.Model) -> int:
    """Convolutions on the longest way."""
    depths = {}
    for call in calls(model):
        before = max((depths[id(x)] for x in call.input_tensors), default=0)
        convolves = isinstance(call.operation, keras.layers.Conv2D)
        depths |= {id(x): before + convolves for x in call.outputs}
    return max(depths.values())


@pytest.mark.parametrize(("final_pooling", "field"), [("average", 907), ("none", 715)])
def test_the_field_of_googlenet_says_where_its_trunk_ends(final_pooling, field):
    """Table 1 of the FCN's paper has 907: with the window of 7 × 7 of the last pooling."""
    model = zoo.build("fcn_googlenet", filters=2, final_pooling=final_pooling)
    seen = {}
    for call in calls(model):
        stride, pixels = max((seen[id(x)] for x in call.input_tensors), default=(1, 1))
        if call.operation.name == "score_fr":
            break
        window, down, up = window_of(call.operation)
        pixels += (window - 1) * stride
        seen |= {id(x): (stride * down / up, pixels) for x in call.outputs}
    assert (stride, pixels) == (32, field)
    assert zoo.describe("fcn_googlenet").receptive_field == 907


def test_deconvnet_has_the_authors_counts_and_sizes():
    with without_values():
        model = zoo.build("deconvnet")
    assert trainable(model) == zoo.describe("deconvnet").parameters == 251_805_653
    normalizations = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(normalizations) == 29
    # Keras's moving mean and variance, which the authors fold in after training.
    assert model.count_params() == 251_805_653 + 33_408
    check_sizes(model, 224, DECONVNET_SIZES)


def test_deconvnet_begins_as_the_authors():
    """Narrow; the scores and the last stage are as wide as theirs."""
    keras.utils.set_random_seed(0)
    model = zoo.build("deconvnet", stages=(64,) * 5, fc_filters=64)
    normalizations = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(normalizations) == 29
    for layer in normalizations:
        gamma, beta, _, _ = layer.get_weights()
        assert layer.epsilon == 1e-9
        assert (gamma == 1).all()
        assert np.allclose(beta, 0.001)
    for name in ("fc6-deconv", "deconv5_1", "deconv1_2", "seg-score-voc"):
        kernel, bias = model.get_layer(name).get_weights()
        assert kernel.std() == pytest.approx(0.01, rel=0.05)
        assert not bias.any()


def test_unet_has_the_papers_counts_and_sizes():
    model = zoo.build("unet", channels=1, border="valid")
    assert model.count_params() == trainable(model) == 31_030_658
    assert zoo.describe("unet").parameters == 31_030_658 + 2 * 9 * 64  # two more channels
    check_sizes(model, 572, UNET_SIZES)
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    transposed = [x for x in model.layers if isinstance(x, keras.layers.Conv2DTranspose)]
    assert len(convolutions) + len(transposed) == 23
    for layer in convolutions:
        kernel, bias = layer.get_weights()
        expected = np.sqrt(2 / np.prod(kernel.shape[:3]))
        assert kernel.std() == pytest.approx(expected, rel=0.15), layer.name
        assert not bias.any()
    for layer in transposed:
        assert layer.get_weights()[0].std() == pytest.approx(
            np.sqrt(2 / layer.input.shape[-1]), rel=0.02
        )


def test_the_released_unet_has_other_counts_and_sizes():
    """phseg_v5 of the release of 2015: twice the features after the last up-convolution."""
    with without_values():
        model = zoo.build("unet", channels=1, border="valid", definition="release")
    assert model.count_params() == 31_100_354
    check_sizes(model, 572, UNET_SIZES)
    up = model.get_layer("upconv_u1d_u0a")
    assert (up.output.shape[-1], up.activation.__name__) == (128, "relu")
    assert model.get_layer("concat_d0cc_u0a-b").output.shape[-1] == 192


def test_batch_normalization_takes_the_place_of_the_biases():
    """18 convolutions of 5888 filters in all: a scale and a shift in the place of each bias."""
    with without_values():
        model = zoo.build("unet", batch_norm=True)
    assert trainable(model) == 31_031_810 + 5888 == 31_037_698
    assert model.count_params() == 31_037_698 + 2 * 5888
    names = [layer.name for layer in model.layers]
    for name in ("d0a-b", "d4b-c", "u3b-c", "u0c-d"):
        first = names.index(f"conv_{name}")
        assert names[first : first + 3] == [f"conv_{name}", f"bn_{name}", f"relu_{name}"]
        conv = model.get_layer(f"conv_{name}")
        assert (conv.use_bias, conv.activation.__name__) == (False, "linear")
    assert [name for name in names if name.startswith("relu")] == [
        name.replace("bn", "relu") for name in names if name.startswith("bn")
    ]
    assert len([name for name in names if name.startswith("bn")]) == 18


def test_the_unet_on_vgg16_has_its_counts_and_sizes():
    """VGG-16's 14,714,688, the bottom's 4,719,616, five levels and the scores."""
    with without_values():
        model = zoo.build("unet_vgg16")
    levels = 2 * 8_128_000 + 2_294_528 + 573_824 + 143_552
    assert trainable(model) == 14_714_688 + 4_719_616 + levels + 21 * 65 == 38_703_573
    assert model.count_params() == zoo.describe("unet_vgg16").parameters
    sides = {1: 512, 2: 256, 3: 128, 4: 64, 5: 32}
    check_sizes(
        model,
        500,
        {"conv1_2": 512, "conv5_3": 32, "pool5": 16, "bottom_2": 16, "up-score": 512, "score": 500}
        | {f"up{stage}_2": side for stage, side in sides.items()},
    )
    shapes = sizes_at(model, 500)
    widths = {1: 64, 2: 128, 3: 256, 4: 512, 5: 512}
    assert {stage: shapes[f"concat{stage}"][-1] for stage in widths} == {
        stage: 2 * width for stage, width in widths.items()
    }
    skips = {stage: model.get_layer(f"concat{stage}").input[0] for stage in widths}
    before = {stage: model.get_layer(f"pool{stage}").input for stage in widths}
    assert all(skips[stage] is before[stage] for stage in widths)


def test_segnet_has_the_authors_counts_and_sizes():
    """Summed up over the layers of segnet_train.prototxt: 29,433,483 in convolutions."""
    model = zoo.build("segnet")
    assert trainable(model) == zoo.describe("segnet").parameters == 29_433_483 + 2 * 7_936
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    normalizations = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert (len(convolutions), len(normalizations)) == (26, 25)
    assert model.count_params() - trainable(model) == 2 * 7_936
    shapes = sizes_at(model, (360, 480))
    # Where a pooling rounds up, the authors give the size: upsample5 23 × 30, upsample4 45 × 60.
    expected = {
        **{"pool1": (180, 240), "pool2": (90, 120), "pool3": (45, 60), "pool4": (23, 30)},
        **{"pool5": (12, 15), "upsample5": (23, 30), "upsample4": (45, 60)},
        **{"upsample3": (90, 120), "upsample2": (180, 240), "upsample1": (360, 480)},
    }
    assert {name: shapes[name][1:3] for name in expected} == expected
    widths = {name: shapes[name][-1] for name in ("conv5_1_D", "conv4_1_D", "conv3_1_D")}
    assert widths == {"conv5_1_D": 512, "conv4_1_D": 256, "conv3_1_D": 128}
    assert shapes["conv1_1_D"] == (1, 360, 480, 11)
    for layer in normalizations:
        gamma, beta, _, _ = layer.get_weights()
        assert layer.epsilon == 1e-9
        assert (gamma == 1).all()
        assert np.allclose(beta, 0.001)


def test_segnet_basic_has_the_authors_counts_and_sizes():
    """Summed up over the layers of segnet_basic_train.prototxt."""
    model = zoo.build("segnet", definition="basic")
    assert trainable(model) == 1_416_587
    shapes = sizes_at(model, (360, 480))
    assert shapes["pool4"][1:] == (23, 30, 64)
    assert shapes["conv_decode4"][1:] == (45, 60, 64)
    assert shapes["conv_classifier"][1:] == (360, 480, 11)
    relus = [x.name for x in model.layers if isinstance(x, keras.layers.ReLU)]
    assert relus == ["relu1", "relu2", "relu3", "relu4"]


def test_segnet_subtracts_no_mean_and_takes_bgr():
    model = zoo.build("segnet", filters=1)
    seen = keras.Model(model.input, model.get_layer("conv1_1").input)
    np.testing.assert_array_equal(seen(np.float32([[[[10, 20, 30]]]]))[0, 0, 0], [30, 20, 10])


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 25_809_410),
        ({"upsampling": "bed_of_nails"}, 25_809_410),
        ({"upsampling": "max_unpooling"}, 25_809_410),
        ({"upsampling": "bilinear"}, 25_809_410),
        ({"upsampling": "transposed"}, 31_379_970),
        ({"downsampling": "strided"}, 28_943_810),
        ({"downsampling": "strided", "upsampling": "transposed"}, 34_514_370),
    ],
)
def test_an_encoder_decoder_has_the_levels_of_unet(options, count):
    """Two convolutions of 3 × 3 a level, and 1 × 1 or 3 × 3 between; summed up by hand."""
    with without_values():
        model = zoo.build("encoder_decoder", **options)
        unet = sizes_at(zoo.build("unet", border="valid"), 204)
    assert model.count_params() == trainable(model) == count
    shapes = sizes_at(model, 64)
    for level in range(5):
        for ours, theirs in (("1", "a-b"), ("2", "b-c")):
            width = unet[f"conv_d{level}{theirs}"][-1]
            assert shapes[f"conv_d{level}_{ours}"] == (1, 64 >> level, 64 >> level, width)
    for level in range(4):
        for ours, theirs in (("1", "b-c"), ("2", "c-d")):
            assert shapes[f"conv_u{level}_{ours}"][-1] == unet[f"conv_u{level}{theirs}"][-1]


def test_an_encoder_decoder_refuses_to_unpool_without_a_pooling():
    text = (
        r"a strided convolution has none; received downsampling='strided' with "
        r"upsampling='max_unpooling'\. Pass downsampling='pooling', or another upsampling"
    )
    with pytest.raises(ValueError, match=text):
        zoo.build("encoder_decoder", downsampling="strided", upsampling="max_unpooling")
    zoo.build("encoder_decoder", filters=1, downsampling="pooling", upsampling="max_unpooling")
    zoo.build("encoder_decoder", filters=1, downsampling="strided", upsampling="transposed")


@pytest.mark.parametrize(
    ("name", "wrong", "first"),
    [("encoder_decoder", "fixed", "nearest"), ("fcn8s", "nearest", "fixed")],
)
def test_a_choice_has_the_words_of_its_builder(name, wrong, first):
    with pytest.raises(ValueError, match=f"upsampling is '{first}' .*Pass upsampling='{first}'"):
        zoo.build(name, upsampling=wrong)


WAYS = [("pooling", up) for up in ("nearest", "bed_of_nails", "max_unpooling", "bilinear")]
WAYS += [(down, "transposed") for down in ("pooling", "strided")]


@pytest.mark.parametrize(("down", "up"), WAYS)
def test_each_way_down_and_up_takes_any_size_and_learns(down, up):
    model = zoo.build("encoder_decoder", filters=4, depth=3, downsampling=down, upsampling=up)
    for size in ((1, 1), (1, 8), (33, 2), (13, 27)):
        with tf.GradientTape() as tape:
            scores = model(toy_images("unet", 1, size))
            loss = tf.reduce_sum(scores**2)
        assert scores.shape == (1, *size, 2)
        assert np.isfinite(scores).all()
    for weight, gradient in zip(
        model.trainable_weights, tape.gradient(loss, model.trainable_weights), strict=True
    ):
        assert np.abs(gradient).max() > 0, weight.path
    compiled = tf.function(model, input_signature=[tf.TensorSpec((None, None, None, 3))])
    np.testing.assert_allclose(
        compiled(toy_images("unet", 1, (13, 27))), scores, rtol=1e-4, atol=1e-5
    )


def test_a_transposed_convolution_is_a_bed_of_nails_and_a_convolution():
    """As the builder says: the same numbers, at the same pixels."""
    model = zoo.build("encoder_decoder", filters=3, depth=1, upsampling="transposed")
    up, crop = model.get_layer("upconv_u0"), model.get_layer("crop_u0")
    below, ours = keras.Model(model.input, [up.input, crop.output])(toy_images("unet", 1, (9, 12)))
    kernel, bias = up.get_weights()
    nails = zoo.layers.BedOfNailsUnpooling()(below)
    turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    expected = keras.ops.conv(nails, turned, padding="same")[:, :9, :12] + bias
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
    # The checkerboard: how many products each of four pixels is the sum of.
    ones = zoo.layers.BedOfNailsUnpooling()(np.ones((1, 4, 4, 1), "float32"))
    counts = keras.ops.conv(ones, np.ones((3, 3, 1, 1), "float32"), padding="same")
    assert np.asarray(counts)[0, 2:4, 2:4, 0].tolist() == [[1, 2], [2, 4]]


def test_a_full_resolution_net_sees_a_square_around_each_pixel():
    model = zoo.build("fullres", filters=2, depth=5)
    for weight in model.trainable_weights:  # positive weights: no change cancels
        weight.assign(np.full(weight.shape, 0.3, "float32"))
    image = tf.ones((1, 31, 31, 3))
    with tf.GradientTape() as tape:
        tape.watch(image)
        middle = model(image)[0, 15, 15, 0]
    seen = np.flatnonzero(np.abs(tape.gradient(middle, image).numpy()).sum((0, 2, 3)))
    assert (seen.min(), seen.max()) == (10, 20)
    # Its parameters at the default options, summed up by hand: 3 to 64, 7 times 64 to 64, and 2.
    by_hand = (27 * 64 + 64) + 7 * (9 * 64 * 64 + 64) + (64 * 2 + 2)
    assert trainable(zoo.build("fullres")) == by_hand == zoo.describe("fullres").parameters
    with pytest.raises(ValueError, match=r"at most 100; received 101\. Pass depth=8"):
        zoo.build("fullres", filters=1, depth=101)


def test_the_up_samplings_of_2015_are_learned():
    """21 × 21 kernels of 4 × 4, of which the first has a bias."""
    for name, learned in [("fcn16s", 1), ("fcn8s", 2), ("fcn8s_atonce", 2)]:
        model = zoo.build(name, upsampling="learned", stages=(2, 2, 2, 2, 2), fc_filters=2)
        fixed = zoo.build(name, stages=(2, 2, 2, 2, 2), fc_filters=2)
        expected = learned * 21 * 21 * 4 * 4 + 21
        assert trainable(model) - trainable(fixed) == expected
        # Before the first step they are the fixed ones.
        kernels = {layer.name: layer.get_weights() for layer in model.layers}
        for layer in fixed.layers:
            if layer.weights:
                layer.set_weights(kernels[layer.name])
        for net in (model, fixed):
            net.get_layer("score_fr").bias.assign(np.arange(21))
        np.testing.assert_allclose(
            model(toy_images(name, 1)), fixed(toy_images(name, 1)), rtol=1e-4, atol=1e-5
        )


def test_vgg19_has_sixteen_convolutions():
    model = zoo.build("fcn8s", trunk="vgg19", stages=(2, 2, 2, 2, 2), fc_filters=2)
    names = [x.name for x in model.layers if x.name.startswith("conv")]
    assert len(names) == 16
    assert {"conv3_4", "conv4_4", "conv5_4"} <= set(names)


def test_alexnet_is_grouped_and_normalized_after_pooling():
    model = zoo.build("fcn_alexnet", stages=(4, 4, 4, 4, 4), fc_filters=2)
    groups = {x.name: x.groups for x in model.layers if isinstance(x, keras.layers.Conv2D)}
    assert {name for name, count in groups.items() if count == 2} == {"conv2", "conv4", "conv5"}
    names = [layer.name for layer in model.layers]
    assert names.index("pool1") < names.index("norm1") < names.index("conv2")


@pytest.mark.parametrize("name", sorted(SIZES))
def test_the_channel_order_and_mean_are_inside(name):
    model = zoo.build(name, **TOYS[name].options)
    image = np.array([[[[10, 20, 30]]]], "float32")
    seen = keras.Model(model.input, model.get_layer("subtract_mean").output)(image)
    expected = [30 - 104.00699, 20 - 116.66877, 10 - 122.67892]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(seen)[0, 0, 0], expected, rtol=1e-6)


def test_another_mean_is_an_option():
    model = zoo.build("fcn8s", **TOYS["fcn8s"].options, mean=(1, 2, 3.5))
    subtracted = keras.Model(model.input, model.get_layer("subtract_mean").output)
    np.testing.assert_allclose(subtracted(np.array([[[[1, 2, 3.5]]]])), 0, atol=1e-6)


@pytest.mark.parametrize("name", [*SIZES, "deconvnet"])
def test_what_an_image_is_is_data(name):
    """Channels as stored, and those of early fusion: blue, green, red and the depth."""
    options = TOYS[name].options

    def seen(image, **described):
        model = zoo.build(name, **options, channels=len(image), **described)
        subtracted = keras.Model(model.input, model.get_layer("subtract_mean").output)
        return keras.ops.convert_to_numpy(subtracted(np.float32([[[image]]])))[0, 0, 0]

    hha = {"mean": (132.431, 94.076, 118.477), "channel_order": (0, 1, 2)}
    np.testing.assert_allclose(seen([140, 90, 120], **hha), [7.569, -4.076, 1.523], rtol=1e-4)
    rgbd = {"mean": (1, 2, 3, 7.5), "channel_order": (2, 1, 0, 3)}
    np.testing.assert_allclose(seen([10, 20, 30, 8], **rgbd), [27, 18, 9, 0.5])
    np.testing.assert_allclose(seen([120, 30]), [120 - 114.45156, 30 - 114.45156], rtol=1e-6)
    np.testing.assert_allclose(seen([120, 0, 0, 0, 9])[[0, 4]], [5.54844, -105.45156], rtol=1e-6)


def receptive_field(model: keras.Model, until: str) -> int:
    """From the last layer's window back to the image: field = (field - 1) · stride + kernel."""
    field = 1
    layers = [x for x in model.layers if hasattr(x, "kernel_size") or hasattr(x, "pool_size")]
    names = [layer.name for layer in layers]
    for layer in reversed(layers[: names.index(until) + 1]):
        if layer.name.startswith("score"):  # beside the trunk
            continue
        kernel = getattr(layer, "kernel_size", None) or layer.pool_size
        kernel = kernel if isinstance(kernel, int) else kernel[0]
        stride = getattr(layer, "strides", kernel)
        field = (field - 1) * (stride if isinstance(stride, int) else stride[0]) + kernel
    return field


@pytest.mark.parametrize(
    ("name", "until"),
    [(name, "fc7") for name in sorted(SIZES)]
    + [("deconvnet", "fc7"), ("unet", "conv_d4b-c"), ("unet_vgg16", "bottom_2")]
    + [("segnet", "pool5"), ("fullres", "conv_8"), ("encoder_decoder", "conv_d4_2")],
)
def test_receptive_fields(name, until):
    levels = {"depth": 4, "filters": 2}
    full = {"unet": levels, "encoder_decoder": levels, "fullres": {"depth": 8}}.get(name, {})
    model = zoo.build(name, **(TOYS[name].options | full))
    assert receptive_field(model, until) == zoo.describe(name).receptive_field


def test_the_field_is_what_the_pixels_say():
    """One feature of fc7 changes with pixels in a square of 404, and with none outside it."""
    model = zoo.build("fcn32s", stages=(1, 1, 1, 1, 1), fc_filters=1)
    for weight in model.trainable_weights:  # positive weights: no ReLU closes, no change cancels
        weight.assign(np.full(weight.shape, 0.3 if "kernel" in weight.path else 50.0, "float32"))
    feature = keras.Model(model.input, model.get_layer("fc7").output)
    image = tf.random.stateless_uniform((1, 640, 640, 3), seed=(1, 2), maxval=255.0)
    with tf.GradientTape() as tape:
        tape.watch(image)
        middle = feature(image)[0, 10, 10, 0]
    rows = np.flatnonzero(np.abs(tape.gradient(middle, image).numpy()).sum((0, 2, 3)))
    assert rows.max() - rows.min() + 1 == 404
    # Ten strides of 32, less the pad of 100 and what the padded convolutions add to the left.
    assert rows.min() == 10 * 32 - 100 - (1 + 2 * 2 + 3 * 4 + 3 * 8 + 3 * 16)


@pytest.mark.parametrize("name", sorted(SIZES))
def test_the_cheap_upscore_is_the_dense_deconvolution_and_crop(name):
    """FCN's last layers, from the fused scores to the image's size, at odd and even sizes."""
    model = build_toy(name)
    up = next(x for x in model.layers if x.name in ("upscore", "upscore16", "upscore8"))
    offset = {"fcn_alexnet": 18, "fcn32s": 19, "fcn16s": 27}.get(name, 31)
    tail = keras.Model(model.input, [up.input, model.output])
    for height, width in [(1, 1), (2, 63), (31, 32), (33, 95), (64, 1), (100, 77), (127, 129)]:
        scores, image_scores = map(
            keras.ops.convert_to_numpy, tail(toy_images(name, 1, (height, width)))
        )
        dense = deconvolve(scores, factor=up.factor, kernel_size=up.kernel_size)
        crop = dense[:, offset : offset + height, offset : offset + width]
        np.testing.assert_allclose(image_scores, crop, rtol=1e-5, atol=1e-5 * np.abs(crop).max())


def test_the_valid_unet_is_the_paper_and_mirror_extends_it():
    """Where both have scores, the mirrored border gives those of the paper's tile."""
    options = {"classes": 2, "filters": 2, "depth": 2}
    valid = zoo.build("unet", border="valid", **options)
    mirror = zoo.build("unet", border="mirror", **options)
    mirror.set_weights(valid.get_weights())
    image = toy_images("unet", 1, (64, 64))
    margin = 6 * 4 - 4
    tile = keras.ops.convert_to_numpy(valid(image))
    assert tile.shape == (1, 24, 24, 2)
    inner = keras.ops.convert_to_numpy(mirror(image))[:, margin:-margin, margin:-margin]
    np.testing.assert_allclose(inner, tile, atol=1e-5)


def test_far_from_the_border_padding_with_zeros_is_the_valid_unet():
    """Its poolings begin at the image's corner, those of the tile 2 pixels aside."""
    valid, same, mirror = (build_toy("unet", border=x) for x in ("valid", "same", "mirror"))
    image = toy_images("unet", 1, (100, 100))
    tile = scores_of(valid, image)  # begins at pixel 20
    assert tile.shape == (1, 60, 60, 4)
    padded = scores_of(same, image[:, 2:-2, 2:-2])
    inner = slice(8, -8)  # what no convolution's zeros reach
    found = padded[:, 18:-18, 18:-18][:, inner, inner]
    assert difference(found, tile[:, inner, inner]) < 1e-5
    # At the border it is another function.
    assert difference(scores_of(same, image), scores_of(mirror, image)) > 1e-2


@pytest.mark.parametrize(("name", "multiple"), [("unet", 4), ("unet_vgg16", 32)])
def test_an_image_of_any_size_is_padded_and_its_scores_are_cropped(name, multiple):
    """The scores are the first ones of the image with the zeros beside it."""
    extra = {"border": "same"} if name == "unet" else {"mean": (0, 0, 0)}
    model = build_toy(name, **extra)
    image = toy_images(name, 1, (37, 50))
    bottom, right = -37 % multiple, -50 % multiple
    whole = np.pad(image, ((0, 0), (0, bottom), (0, right), (0, 0)))
    scores = scores_of(model, image)
    assert scores.shape == (1, 37, 50, 4)
    np.testing.assert_array_equal(scores, scores_of(model, whole)[:, :37, :50])


def test_a_crop_of_256_computes_three_times_fewer_pixels_without_its_mirror():
    model = zoo.build("unet", filters=1)
    mirrored = model.get_layer("mirror").compute_output_shape((1, 256, 256, 3))[1:3]
    padded = sizes_at(zoo.build("unet", filters=1, border="same"), 256)["pad"][1:3]
    assert (mirrored, padded) == ((444, 444), (256, 256))
    assert np.prod(mirrored) / np.prod(padded) == pytest.approx(3.0, abs=0.01)


def test_the_valid_unet_names_the_sizes_it_takes():
    model = zoo.build("unet", border="valid", filters=1)
    with pytest.raises(ValueError, match=r"16k \+ 60.*received 512 . 512.*Pad.*524 . 524"):
        model(np.zeros((1, 512, 512, 3), "float32"))


@pytest.mark.parametrize("name", sorted(TOYS))
def test_the_name_is_an_option(name):
    """Keras joins two models into one if their names differ; those of their layers may repeat."""
    options = TOYS[name].options
    assert zoo.build(name, **options).name == name
    left, right = (zoo.build(name, **options, name=side) for side in ("left", "right"))
    for model in (left, right):
        for weight in model.trainable_weights:
            weight.assign(keras.random.normal(weight.shape, stddev=0.3, seed=len(model.name)))
    image = keras.Input((None, None, 3))
    joined = keras.Model(image, keras.layers.Subtract()([left(image), right(image)]))
    assert joined.layers[1:3] == [left, right]
    assert joined.count_params() == 2 * left.count_params()
    images = toy_images(name, 1)
    apart = keras.ops.convert_to_numpy(left(images) - right(images))
    assert np.abs(apart).max() > 0
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(joined(images)), apart)


def test_two_unets_in_one_model_come_back_from_its_file(tmp_path):
    left, right = (
        zoo.build("unet", **TOYS["unet"].options, name=side) for side in ("left", "right")
    )
    image = keras.Input((None, None, 3))
    joined = keras.Model(image, keras.layers.Subtract()([left(image), right(image)]))
    joined.save(tmp_path / "joined.keras")
    loaded = keras.saving.load_model(tmp_path / "joined.keras")
    images = toy_images("unet", 1)
    assert np.abs(joined(images)).max() > 0
    np.testing.assert_array_equal(loaded(images), joined(images))


@pytest.mark.parametrize("name", sorted(TOYS))
def test_a_builder_documents_its_options(name):
    builder = zoo.describe(name).builder
    text = inspect.getdoc(builder).partition("\nArgs:\n")[2].partition("\n\n")[0]
    documented = re.findall(r"^    (\w+): ", text, re.MULTILINE)
    assert documented == list(inspect.signature(builder).parameters)


@pytest.mark.parametrize("channels", [1, 2, 4, 13])
@pytest.mark.parametrize("name", sorted(TOYS))
def test_an_image_has_any_number_of_channels(name, channels):
    model = zoo.build(name, **TOYS[name].options, channels=channels)
    assert model(np.zeros((1, 20, 30, channels), "float32")).shape == (1, 20, 30, 4)
    assert model.spec.channels == channels


def test_a_unet_names_an_image_without_pixels():
    model = zoo.build("unet", **TOYS["unet"].options)
    with pytest.raises(ValueError, match=r"at least 1 . 1 pixels .*; received a side of 0\. Leave"):
        model(np.zeros((1, 0, 9, 3), "float32"))
