"""The signatures of an exported model, asked in TensorFlow's Python and C++ loaders."""

import io
import re
import struct

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

import zoo
from exports.graph import signatures
from exports.graph.limits import Limits
from exports.runtimes import INVALID_ARGUMENT, StatusError, process, tensorflow_c
from tests.fuzz.mutants import png_chunk
from tests.support import specs
from tests.support.toys import NAMES, build_toy, toy_images

# What either loader raises when a request is refused.
REFUSED = (RuntimeError, tf.errors.InvalidArgumentError)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return build_toy("unet")


@pytest.fixture(scope="module")
def exported(unet_files):
    return unet_files["saved_model"]


@pytest.fixture(scope="module")
def served(exported):
    return tf.saved_model.load(exported).signatures


@pytest.fixture(scope="module", params=["Python", "C++"])
def ask(exported, served, request):
    def ask_in_python(signature, inputs):
        ((name, array),) = inputs.items()
        strings = array.dtype == object
        given = tf.constant(array.tolist(), tf.string) if strings else tf.constant(array)
        return {key: value.numpy() for key, value in served[signature](**{name: given}).items()}

    if request.param == "Python":
        yield ask_in_python
    else:
        with tensorflow_c.loaded(exported) as ask_in_cpp:
            yield ask_in_cpp


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return toy_images("unet").astype(np.uint8)


def class_maps(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return np.asarray(model(images.astype("float32"))).argmax(-1)


def encode(image: np.ndarray | Image.Image, form: str = "PNG", **options) -> bytes:
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def strings(*contents: bytes) -> np.ndarray:
    array = np.empty(len(contents), object)
    array[:] = contents
    return array


def decode(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_the_signatures_are_those_of_the_table(exported):
    described = saved_model_pb2.SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    found = {}
    for name, signature in described.meta_graphs[0].signature_def.items():
        if name == "__saved_model_init_op":
            continue
        for way, ports in (("takes", signature.inputs), ("gives", signature.outputs)):
            for port, info in ports.items():
                shape = tuple(axis.size for axis in info.tensor_shape.dim)
                found[name, way, port] = (tf.as_dtype(info.dtype).name, shape)
    image = ("uint8", (-1, -1, -1, 3))
    assert found == {
        ("serving_default", "takes", "image"): image,
        ("serving_default", "gives", "class_map"): ("uint8", (-1, -1, -1)),
        ("class_map_from_bytes", "takes", "image_bytes"): ("string", (-1,)),
        ("class_map_from_bytes", "gives", "class_map"): ("uint8", (-1, -1, -1)),
        ("mask_png", "takes", "image_bytes"): ("string", (-1,)),
        ("mask_png", "gives", "mask_png_bytes"): ("string", (-1,)),
        ("mask_png", "gives", "valid"): ("uint8", (-1,)),
        ("scores", "takes", "image"): image,
        ("scores", "gives", "probabilities"): ("float32", (-1, -1, -1, 4)),
        ("class_names", "takes", "index"): ("int32", (-1,)),
        ("class_names", "gives", "name"): ("string", (-1,)),
        ("class_names", "gives", "is_background"): ("uint8", (-1,)),
        ("class_names", "gives", "colour"): ("uint8", (-1, 3)),
    }


def test_classes_have_names_a_background_and_colours(ask):
    answer = ask("class_names", {"index": np.array([3, 1, 2, 1], np.int32)})
    assert [name.decode() for name in answer["name"]] == [
        specs.UNET.class_names[n] for n in (3, 1, 2, 1)
    ]
    assert answer["is_background"].tolist() == [1, 0, 0, 0]
    assert answer["colour"].tolist() == [list(specs.UNET.colours[n]) for n in (3, 1, 2, 1)]


def test_classes_of_a_model_without_a_spec_have_numbers_and_vocs_colours(model):
    traced = signatures.signatures(model)
    answer = traced["class_names"](np.arange(4, dtype=np.int32))
    assert answer["name"].numpy().tolist() == [b"class 0", b"class 1", b"class 2", b"class 3"]
    assert answer["is_background"].numpy().tolist() == [0, 0, 0, 0]
    np.testing.assert_array_equal(answer["colour"], zoo.pictures.voc_palette(4))


def test_class_numbers_are_checked(exported):
    """In C++ only: Python refuses the wrong shape by itself, the server does not."""
    rank = r"Class numbers are \[n\]\. Add or remove a dimension\. Dimensions received:\] "
    with tensorflow_c.loaded(exported) as ask:
        assert len(ask("class_names", {"index": np.zeros(256, np.int32)})["name"]) == 256
        for wrong, text in [
            ([4], r"A class number is from 0 to 3 here\. Ask about these\. Received:\] \[4\]"),
            ([0, -1], r"from 0 to 3 here\. .*\[0 -1\]"),
            ([2**31 - 1], r"from 0 to 3 here\. .*\[2147483647\]"),
            ([], r"A request holds 1 to 256 class numbers\. Split it or fill it\. .*\[0\]"),
            (
                [0] * 257,
                r"A request holds 1 to 256 class numbers\. Split it or fill it\. .*\[257\]",
            ),
            (0, rank + r"\[0\]"),
            ([[0]], rank + r"\[2\]"),
        ]:
            refused(ask, "class_names", np.array(wrong, np.int32), text)
        with pytest.raises(StatusError, match="int32 but int64 is provided"):
            ask("class_names", {"index": np.zeros(1, np.int64)})


def test_all_signatures_give_the_models_answers(ask, model, images):
    expected = class_maps(model, images)
    assert len(np.unique(expected)) == 4
    encoded = strings(*map(encode, images))
    answer = ask("serving_default", {"image": images})["class_map"]
    np.testing.assert_array_equal(answer, expected)
    answer = ask("class_map_from_bytes", {"image_bytes": encoded})["class_map"]
    np.testing.assert_array_equal(answer, expected)
    answer = ask("mask_png", {"image_bytes": encoded})
    np.testing.assert_array_equal([decode(png) for png in answer["mask_png_bytes"]], expected)
    np.testing.assert_array_equal(answer["valid"], [1, 1])
    answer = ask("scores", {"image": images})["probabilities"]
    softmax = tf.nn.softmax(model(images.astype("float32"))).numpy()
    np.testing.assert_allclose(answer, softmax, rtol=0, atol=1e-5)


def test_another_size_needs_no_other_export(ask, model):
    for size in [(1, 1), (16, 7), (51, 40)]:
        image = toy_images("unet", 1, size).astype(np.uint8)
        answer = ask("serving_default", {"image": image})["class_map"]
        np.testing.assert_array_equal(answer, class_maps(model, image))


def test_mask_png_takes_mixed_sizes_and_bad_images_do_not_fail_good_ones(ask, model, images):
    small = images[1, :21, :13]
    png = encode(images[0])
    requests = strings(
        b"",
        png,
        b"no image",
        png[: len(png) // 2],
        encode(small),
        png[:8],
        png[:30],
        encode(images[0], "JPEG")[:200],
        encode(images[1]),
    )
    answer = ask("mask_png", {"image_bytes": requests})
    assert answer["valid"].tolist() == [0, 1, 0, 0, 1, 0, 0, 0, 1]
    assert answer["valid"].dtype == np.uint8
    masks = answer["mask_png_bytes"]
    assert [bool(mask) for mask in masks] == answer["valid"].astype(bool).tolist()
    np.testing.assert_array_equal(decode(masks[1]), class_maps(model, images)[0])
    np.testing.assert_array_equal(decode(masks[4]), class_maps(model, small[None])[0])
    np.testing.assert_array_equal(decode(masks[8]), class_maps(model, images)[1])


def test_mask_png_answers_when_no_image_is_good(ask):
    answer = ask("mask_png", {"image_bytes": strings(b"no", b"image")})
    assert answer["valid"].tolist() == [0, 0]
    assert answer["mask_png_bytes"].tolist() == [b"", b""]


@settings(max_examples=60, deadline=None)
@given(
    form=st.sampled_from(["PNG", "JPEG"]),
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=9),
    cut=st.integers(0, 10**6),
)
def test_damaged_bytes_never_fail_the_good_image_beside_them(
    served, model, images, form, edits, cut
):
    damaged = bytearray(encode(images[0], form))
    for place, value in edits:
        damaged[place % len(damaged)] = value
    if cut % 3 == 0:
        del damaged[cut % len(damaged) :]
    requests = strings(bytes(damaged), encode(images[1, :9, :9]))
    answer = served["mask_png"](image_bytes=tf.constant(requests.tolist(), tf.string))
    assert answer["valid"][1] == 1
    mask = decode(answer["mask_png_bytes"][1].numpy())
    np.testing.assert_array_equal(mask, class_maps(model, images[1:, :9, :9])[0])


def test_a_bomb_is_refused_by_its_header(exported, images):
    bombs = {
        (12_000, 12_000): encode(np.zeros((12_000, 12_000), np.uint8)),
        (5_000, 4_000): encode(np.zeros((5_000, 4_000), np.uint8), "JPEG"),
    }
    good = {"image_bytes": strings(encode(images[0]))}
    with process.loaded(exported) as ask:
        ask("class_map_from_bytes", good)
        before = ask("mask_png", good).peak_bytes
        for (height, width), content in bombs.items():
            assert len(content) < 0.5e6
            bomb = {"image_bytes": strings(content)}
            answers = [ask("mask_png", bomb) for _ in range(5)]
            assert [answer.outputs["valid"].tolist() for answer in answers] == [[0]] * 5
            assert min(answer.seconds for answer in answers) < 0.01
            text = rf"An image has at most 16777216 pixels\. Scale .*\[{height * width}\]"
            with pytest.raises(StatusError, match=text) as refused:
                ask("class_map_from_bytes", bomb)
            assert refused.value.code == INVALID_ARGUMENT
            both = {"image_bytes": strings(content, *good["image_bytes"])}
            assert ask("mask_png", both).outputs["valid"].tolist() == [0, 1]
        after = ask("mask_png", good).peak_bytes
        assert after - before < 16e6


def test_a_size_before_the_header_is_not_taken_for_the_images(model):
    traced = signatures.signatures(model, max_pixels=100)
    image = encode(np.zeros((64, 64, 3), np.uint8))
    lying = image[:8] + png_chunk(b"prVt", struct.pack(">II", 8, 8)) + image[8:]
    assert Image.open(io.BytesIO(lying)).size == (64, 64)  # decoders pass over such a chunk
    for content in (image, lying):
        assert traced["mask_png"](image_bytes=tf.constant([content]))["valid"].numpy().tolist() == [
            0
        ]
        with pytest.raises(tf.errors.InvalidArgumentError):
            traced["class_map_from_bytes"](image_bytes=tf.constant([content]))


def test_the_limits_are_limits(model):
    traced = signatures.signatures(model, max_pixels=20 * 50, max_batch=4)
    shapes = [(20, 50), (21, 50), (1, 1000), (1, 1001)]
    requests = [encode(np.zeros((*shape, 3), np.uint8)) for shape in shapes]
    assert traced["mask_png"](image_bytes=tf.constant(requests))["valid"].numpy().tolist() == [
        1,
        0,
        1,
        0,
    ]
    most = np.zeros((4, 20, 50, 3), np.uint8)
    encoded = [encode(image) for image in most]
    for signature, output, takes in [
        ("serving_default", "class_map", {"image": tf.constant(most)}),
        ("scores", "probabilities", {"image": tf.constant(most)}),
        ("class_map_from_bytes", "class_map", {"image_bytes": tf.constant(encoded)}),
        ("mask_png", "valid", {"image_bytes": tf.constant(encoded)}),
    ]:
        assert traced[signature](**takes)[output].shape[0] == 4
        text = r"A request holds at most 4 images\. Send several requests\. .* \[5\]"
        with pytest.raises(tf.errors.InvalidArgumentError, match=text):
            traced[signature](
                **{name: tf.concat([given, given[:1]], 0) for name, given in takes.items()}
            )
    for signature in ("serving_default", "scores"):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"at most 1000 pixels.*\[1050\]"):
            traced[signature](image=tf.zeros((1, 21, 50, 3), tf.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"at most 1000 pixels.*\[1050\]"):
        traced["class_map_from_bytes"](image_bytes=tf.constant(requests[1:2]))


def test_the_pixels_of_a_request_are_limited_where_they_are_computed_together(model):
    limits = {"max_pixels": 20 * 50, "max_batch": 4, "max_request_pixels": 2500}
    traced = signatures.signatures(model, **limits)
    images = np.zeros((3, 17, 50, 3), np.uint8)
    encoded = [encode(image) for image in images]
    for signature, takes in [
        ("serving_default", {"image": tf.constant(images)}),
        ("scores", {"image": tf.constant(images)}),
        ("class_map_from_bytes", {"image_bytes": tf.constant(encoded)}),
    ]:
        assert traced[signature](**{name: given[:2] for name, given in takes.items()})
        text = r"have at most 2500 pixels together\. Send several requests, or ask.*\[2550\]"
        with pytest.raises(tf.errors.InvalidArgumentError, match=text):
            traced[signature](**takes)
    assert traced["mask_png"](image_bytes=tf.constant(encoded))["valid"].numpy().tolist() == [
        1,
        1,
        1,
    ]


@pytest.mark.parametrize("limit", ["max_pixels", "max_batch", "max_request_pixels"])
@pytest.mark.parametrize("value", [0, -1, True, 2.0, 2**31])
def test_a_limit_is_a_positive_whole_number(limit, value, model):
    text = f"{limit} is a whole number from 1 to 2147483647; received {value!r}. Pass max_pixels="
    with pytest.raises(ValueError, match=re.escape(text)):
        signatures.signatures(model, **{limit: value})


@pytest.mark.parametrize("form", ["GIF", "WEBP", "BMP", "TIFF"])
def test_other_formats_are_refused(ask, images, form):
    request = {"image_bytes": strings(encode(images[0], form))}
    assert ask("mask_png", request)["valid"].tolist() == [0]
    text = r"Image bytes are a JPEG or a PNG file; these are not\. Convert the image first\."
    with pytest.raises(REFUSED, match=text):
        ask("class_map_from_bytes", request)


def answered(ask, content: bytes) -> np.ndarray:
    answer = ask("mask_png", {"image_bytes": strings(content)})
    assert answer["valid"].tolist() == [1]
    return decode(answer["mask_png_bytes"][0])


def test_what_the_decoder_makes_of_unusual_images(ask, model, images):
    expected, image = class_maps(model, images)[0], images[0]
    alpha = np.dstack([image, np.arange(image[..., 0].size).reshape(image.shape[:2]) % 256])
    np.testing.assert_array_equal(answered(ask, encode(alpha.astype(np.uint8))), expected)

    palette = Image.fromarray(image).quantize(64)
    colours = np.asarray(palette.convert("RGB"))
    assert not np.array_equal(colours, image)
    np.testing.assert_array_equal(
        answered(ask, encode(palette)), class_maps(model, colours[None])[0]
    )

    grey = image[..., 0]
    threefold = class_maps(model, np.dstack([grey] * 3)[None])[0]
    np.testing.assert_array_equal(answered(ask, encode(grey)), threefold)
    sixteen = Image.fromarray(grey.astype(np.uint16) * 256 + 200)
    np.testing.assert_array_equal(answered(ask, encode(sixteen)), threefold)


def test_the_mask_of_a_photograph_fits_its_stored_pixels(ask, images):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    turned = encode(images[0], "JPEG", quality=95, exif=exif.tobytes())
    plain = encode(images[0], "JPEG", quality=95)
    assert turned != plain
    mask = answered(ask, turned)
    assert mask.shape == images[0].shape[:2]
    np.testing.assert_array_equal(mask, answered(ask, plain))


def test_class_map_from_bytes_takes_one_size(ask, images):
    requests = strings(encode(images[0]), encode(images[1, :20]), encode(images[1]))
    text = (
        r"The images of one request have one size here\. Ask `mask_png` about mixed sizes\. "
        r"Heights and widths received:\] \[\[33 50\]\[20 50\]\[33 50\]\]"
    )
    with pytest.raises(REFUSED, match=text):
        ask("class_map_from_bytes", {"image_bytes": requests})


@pytest.mark.parametrize(
    ("limit", "size", "fitting"),
    [
        (10_000, (97, 131), (86, 116)),
        (97 * 131, (97, 131), (97, 131)),
        (10**6, (97, 131), (97, 131)),
        (1, (97, 131), (1, 1)),
        (3, (1, 300), (1, 3)),
        (3, (300, 1), (3, 1)),
    ],
)
def test_a_size_within_the_limit(limit, size, fitting):
    assert Limits(3, max_pixels=limit).fit(*size) == fitting


def refused(ask, signature: str, inputs: np.ndarray, text: str) -> None:
    names = {"class_names": "index", "serving_default": "image", "scores": "image"}
    name = names.get(signature, "image_bytes")
    with pytest.raises(StatusError, match=text) as error:
        ask(signature, {name: inputs})
    assert error.value.code == INVALID_ARGUMENT


@pytest.mark.parametrize("signature", ["serving_default", "scores"])
def test_an_image_is_held_to_its_shape_and_type(exported, images, signature):
    """In C++ only: Python refuses the wrong shape by itself, the server does not."""
    rank = (
        r"Images are \[n, height, width, 3\]\. Add or remove a dimension\. Dimensions received:\] "
    )
    nan = np.full(images.shape, np.nan, np.float32)
    with tensorflow_c.loaded(exported) as ask:
        for wrong, text in [
            (images[..., :1], r"An image has 3 channels here\. Convert it\..*\[1\]"),
            (images.repeat(2, -1), r"An image has 3 channels here\. Convert it\..*\[6\]"),
            (images[:, :0], r"An image has at least one pixel\. Send one that has\."),
            (images[:, :, :0], r"An image has at least one pixel\. Send one that has\."),
            (images[:0], r"A request holds at least one image\. Send one\."),
            (images.repeat(9, 0), r"A request holds at most 16 images\. .*\[18\]"),
            (images[0], rank + r"\[3\]"),
            (images[None], rank + r"\[5\]"),
            (images[0, 0, 0, 0], rank + r"\[0\]"),
            (nan, r"uint8 but float is provided"),
            (images.astype(np.int32), r"uint8 but int32 is provided"),
        ]:
            refused(ask, signature, np.asarray(wrong), text)
        with pytest.raises(KeyError, match=r"no signature 'masks' of \['image'\]"):
            ask("masks", {"image": images})
        with pytest.raises(KeyError, match=rf"no signature '{signature}' of \['picture'\]"):
            ask(signature, {"picture": images})


@pytest.mark.parametrize("signature", ["class_map_from_bytes", "mask_png"])
def test_image_bytes_are_held_to_their_shape_and_type(exported, images, signature):
    rank = r"Image bytes are \[n\], a string for each image\. Add or remove a dimension\. .*\] "
    encoded = strings(*map(encode, images))
    with tensorflow_c.loaded(exported) as ask:
        for wrong, text in [
            (strings(), r"A request holds at least one image\. Send one\."),
            (encoded.repeat(9), r"A request holds at most 16 images\. .*\[18\]"),
            (encoded[None], rank + r"\[2\]"),
            (encoded[0:1].reshape(()), rank + r"\[0\]"),
        ]:
            refused(ask, signature, wrong, text)
        with pytest.raises(StatusError, match="string but uint8 is provided"):
            ask(signature, {"image_bytes": images})


def test_a_grey_model_takes_grey_images_and_turns_colours_grey(tmp_path):
    keras.utils.set_random_seed(3)
    image = keras.Input((None, None, 1), name="image")
    scores = keras.layers.Conv2D(3, 3, padding="same", bias_initializer="normal")(image)
    model = keras.Model(image, scores, name="grey")
    grey = toy_images("unet", 1)[..., :1].astype(np.uint8)
    expected = class_maps(model, grey)
    assert len(np.unique(expected)) > 1
    traced = signatures.signatures(model)
    np.testing.assert_array_equal(
        traced["serving_default"](image=tf.constant(grey))["class_map"], expected
    )
    for picture in (grey[0, ..., 0], grey[0].repeat(3, -1)):
        files = tf.constant([encode(picture)])
        answer = traced["class_map_from_bytes"](image_bytes=files)["class_map"]
        np.testing.assert_array_equal(answer, expected)


def one_layer(shape: tuple, **layer) -> keras.Model:
    image = keras.Input(shape, name="image")
    layer = {"filters": 3, "kernel_size": 3} | layer
    return keras.Model(image, keras.layers.Conv2D(**layer)(image), name="one")


def test_what_cannot_be_exported_is_refused():
    image = keras.Input((None, None, 3))
    cases = [
        (one_layer((32, 32, 3), padding="same"), "'one' takes (None, 32, 32, 3). Build it with"),
        (keras.Model(image, [image, image], name="two"), "'two' gives [(None, None, None, 3), ("),
        (
            one_layer((None, None, 3)),
            "'one' answers (61, 83) pixels with scores of (59, 81). Build it so that it keeps the "
            'size; a U-Net does with border="mirror", which takes the weights of border="valid".',
        ),
        (
            build_toy("unet", border="valid"),
            "'unet' answers (61, 83) pixels with an error: ",
        ),
        (
            one_layer((None, None, 3), padding="same", filters=257),
            "so that a model is exported with at most 256 classes; 'one' has 257. Merge some.",
        ),
    ]
    for model, text in cases:
        with pytest.raises(ValueError, match=re.escape(text)):
            signatures.signatures(model)


@pytest.mark.parametrize("name", NAMES)
def test_no_graph_holds_an_operation_that_few_runtimes_have(name, exported_toy):
    content = (exported_toy(name, "saved_model") / "saved_model.pb").read_bytes()
    (graph,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    functions = graph.graph_def.library.function
    nodes = [*graph.graph_def.node, *(node for f in functions for node in f.node_def)]
    assert "Conv2D" in {node.op for node in nodes}
    named = " ".join(f"{node.op} {node.name}" for node in nodes).lower()
    assert "maxpoolwithargmax" not in named
    assert "scatter" not in named


def test_all_signatures_but_that_of_the_class_names_ask_the_model(served):
    for signature in served:
        graph = served[signature].graph.as_graph_def()
        nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
        assert ("Conv2D" in {node.op for node in nodes}) == (signature != "class_names")


def test_another_backend_is_refused(model, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    text = "A model is exported from TensorFlow; Keras runs on 'jax'. Set KERAS_BACKEND=tensorflow"
    with pytest.raises(ValueError, match=text):
        signatures.signatures(model)
