"""`zoo predict` and others on nets with several heads, and on those of colour and depth."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import zoo
from tests.support import several
from tests.support.several import HEADS
from zoo import depths, showing
from zoo.inference import activations, command, demo, ensembles, scorer
from zoo.models.plain import plain


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The weights of a net with two heads."""
    folder = tmp_path_factory.mktemp("two")
    return zoo.weights.save(several.two_heads(), folder / "two.weights.h5")


@pytest.fixture(scope="module")
def late(tmp_path_factory):
    folder = tmp_path_factory.mktemp("late")
    return zoo.weights.save(several.late_fusion(), folder / "late.weights.h5")


@pytest.fixture(scope="module")
def early(tmp_path_factory):
    folder = tmp_path_factory.mktemp("early")
    return zoo.weights.save(several.early_fusion(), folder / "early.weights.h5")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders with the colours, the HHA and the depth of two images, under one name each."""
    root = tmp_path_factory.mktemp("images")
    pixels = several.images(several.late_fusion())
    for name in ("color", "hha", "depth"):
        (root / name).mkdir()
    for index, image in enumerate(pixels):
        Image.fromarray(image[..., :3]).save(root / "color" / f"{index}.png")
        Image.fromarray(image[..., 3:]).save(root / "hha" / f"{index}.png")
        depth = np.linspace(400, 9000, several.SIZE[0] * several.SIZE[1]).reshape(several.SIZE)
        depth[:3] = 0  # not measured
        Image.fromarray(depth.astype(np.uint16)).save(root / "depth" / f"{index}.tif")
    return root


def predict(*words: object) -> int:
    return command.predict([str(word) for word in words])


def test_a_scorer_answers_with_the_head_that_is_named(two):
    model = several.two_heads()
    image = several.images(model)[0]
    for head in HEADS:
        expected = several.class_maps(model, image[None], head)[0]
        for source in (model, two, plain(model, head), scorer(two, head=head)):
            several.assert_same(zoo.predict(source, image, head=head), expected)
        several.assert_same(zoo.predict(plain(model, head), image), expected)


def test_a_head_is_chosen_where_there_are_several_and_nowhere_else(two, late):
    image = several.images(several.two_heads())[0]
    text = "'fcn8s_two_heads' has the heads semantic and geometric, of which one is chosen; "
    for source in (several.two_heads(), two):
        for head in (None, "other"):
            with pytest.raises(ValueError, match=f"{text}received {head!r}. Pass head='semantic'"):
                zoo.predict(source, image, head=head)
    answer = scorer(two, head="geometric")
    with pytest.raises(
        ValueError, match=r"the Scorer answers with the head geometric, and received 'semantic'\. L"
    ):
        zoo.predict(answer, image, head="semantic")
    alone = plain(several.two_heads(), "geometric")
    with pytest.raises(ValueError, match="answers with the head geometric, and received 'semantic"):
        scorer(alone, head="semantic")
    with pytest.raises(ValueError, match=r"'fcn32s_late_fusion' has one, and received 'semantic'"):
        scorer(late, head="semantic")


def test_a_file_that_does_not_say_what_it_is_takes_every_option(tmp_path):
    model = several.two_heads()
    file = tmp_path / "plain.weights.h5"
    model.save_weights(file)  # as Keras writes it
    loaded = zoo.load(file, model=model.spec.model, **model.spec.options)
    assert loaded.spec.options == model.spec.options


def test_members_of_an_ensemble_answer_with_one_head(two):
    model = several.two_heads()
    image = several.images(model)[0]
    one = scorer(two, head="geometric")
    expected = ensembles.ensemble([one, one])(image).argmax(-1)
    found = zoo.predict(model, image, head="geometric", ensemble=[two, one])
    several.assert_same(found, expected)
    other = scorer(two, head="semantic")
    with pytest.raises(ValueError, match="members of an ensemble have the same classes"):
        zoo.predict(model, image, head="geometric", ensemble=[other])


def test_the_command_takes_a_head_and_remembers_it(two, folders, tmp_path, capsys):
    out, image = tmp_path / "out", folders / "color" / "0.png"
    assert predict(two, image, "--out", out, "--head", "geometric") == 0
    mask = zoo.images.read_class_map(out / "0-mask.png")
    pixels = zoo.images.read_image(image)
    expected = several.class_maps(several.two_heads(), pixels[None], "geometric")[0]
    several.assert_same(mask, expected)
    first = json.loads((out / "answers.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["request"]["head"] == "geometric"
    capsys.readouterr()
    assert predict(two, image, "--out", out, "--head", "geometric") == 0
    assert "1 of 1 images were answered before" in capsys.readouterr().out
    assert predict(two, image, "--out", out, "--head", "semantic") == 2
    assert "those to another: head differs" in capsys.readouterr().err
    assert predict(two, image, "--out", tmp_path / "none") == 2
    assert "--head on the command line" in capsys.readouterr().err


def test_hha_lies_beside_the_colours(late, folders, tmp_path, capsys):
    out, image = tmp_path / "out", folders / "color"
    film = tmp_path / "film.mp4"
    film.touch()
    assert predict(late, image, film, "--out", out) == 2
    text = f"A net of colour and depth answers images; received the video {film}. Leave it out"
    assert text in capsys.readouterr().err
    assert predict(late, image, "--depth", folders / "hha", "--out", out) == 0
    pixels = several.images(several.late_fusion())
    expected = several.class_maps(several.late_fusion(), pixels)
    for index in (0, 1):
        mask = zoo.images.read_class_map(out / f"{index}-mask.png")
        several.assert_same(mask, expected[index])
        files = [folders / name / f"{index}.png" for name in ("color", "hha")]
        found = zoo.predict(late, files[0], depth=files[1])
        several.assert_same(found, expected[index])
        several.assert_same(zoo.predict(late, pixels[index]), expected[index])


def test_a_depth_becomes_its_logarithm(early, folders, tmp_path):
    out = tmp_path / "out"
    assert predict(early, folders / "color", "--depth", folders / "depth", "--out", out) == 0
    colours = zoo.images.read_image(folders / "color" / "0.png").astype(np.float32)
    stored = zoo.images.read_numbers(folders / "depth" / "0.tif").astype(np.float64)
    mean = several.early_fusion().spec.options["mean"][3]
    logarithm = np.where(stored == 0, mean, np.log(np.maximum(stored, 1))).astype(np.float32)
    image = np.concatenate([colours, logarithm[..., None]], axis=-1)
    expected = several.class_maps(several.early_fusion(), image[None])[0]
    several.assert_same(zoo.images.read_class_map(out / "0-mask.png"), expected)
    several.assert_same(zoo.predict(early, image), expected)
    read = depths.joined(
        folders / "color/0.png", folders / "depth/0.tif", several.early_fusion().spec
    )
    np.testing.assert_allclose(read, image, rtol=1e-6)


def test_an_image_whose_depth_has_changed_is_answered_again(early, folders, tmp_path, capsys):
    out, depth = tmp_path / "out", tmp_path / "depth"
    shutil.copytree(folders / "depth", depth)
    words = (early, folders / "color", "--depth", depth, "--out", out)
    assert predict(*words) == 0
    first = zoo.images.read_class_map(out / "0-mask.png")
    other = zoo.images.read_numbers(depth / "0.tif")[::-1]
    Image.fromarray(np.ascontiguousarray(other)).save(depth / "0.tif")
    capsys.readouterr()
    assert predict(*words) == 0
    assert "1 of 2 images were answered before" in capsys.readouterr().out
    second = zoo.images.read_class_map(out / "0-mask.png")
    assert (first != second).any()
    found = zoo.predict(early, folders / "color/0.png", depth=depth / "0.tif")
    np.testing.assert_array_equal(second, found)


def test_an_array_holds_colours_to_255_and_a_logarithm(early):
    logarithm = "last channel is the logarithm of the depth in millimetres"
    image = np.full((40, 50, 4), 100, np.float32)
    for depth in (2550, -0.5):  # millimetres; the logarithm of metres
        image[..., 3] = depth
        with pytest.raises(ValueError, match=f"holds 0 to 255; received .* Its {logarithm}"):
            zoo.predict(early, image)
    image[..., :3], image[..., 3] = 0.5, 7.8
    with pytest.raises(ValueError, match=r"received 0\.5 to 7\.8\. Multiply it by 255\."):
        zoo.predict(early, image)
    image[..., :3] = 100
    assert zoo.predict(early, image).shape == (40, 50)


def test_what_is_no_hha_is_not_taken_for_it(late, folders, tmp_path, capsys):
    image, out = folders / "color" / "0.png", tmp_path / "out"
    text = r"0\.tif: an HHA image has 3 channels; this one has 1\. Take the file of HHA, not that"
    with pytest.raises(ValueError, match=text):
        zoo.predict(late, image, depth=folders / "depth/0.tif")
    for same in (folders / "color", image):  # colours, not HHA
        assert predict(late, image, "--depth", same, "--out", out) == 2
        assert "which is another than that of the images" in capsys.readouterr().err
    assert not out.exists()


def test_a_net_of_colour_and_depth_wants_both(early, late, two, folders, tmp_path, capsys):
    image, out = folders / "color" / "0.png", tmp_path / "out"
    told = {
        (early, image): "which 8 bits do not hold; received .*0.png alone. Pass the depth, a file",
        (late, image): "6 channels together; received .*0.png alone, with 3. Pass the file of its",
    }
    for (weights, picture), text in told.items():
        with pytest.raises(ValueError, match=text):
            zoo.predict(weights, picture)
        assert predict(weights, picture, "--out", out) == 2
        assert "--depth FOLDER" in capsys.readouterr().err
    for kind in (np.uint8, np.int64):
        with pytest.raises(ValueError, match="received an image of whole numbers alone"):
            zoo.predict(early, np.zeros((40, 50, 4), kind))
    words = (two, image, "--out", out, "--head", "semantic", "--depth", folders / "hha")
    assert predict(*words) == 2
    assert "fcn8s_two_heads takes one image. Leave the depth out" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"Pass an array \[h, w, 6\]"):
        zoo.predict(late, np.zeros((40, 50, 6), np.uint8), depth=image)
    assert predict(late, image, "--out", out, "--depth", tmp_path) == 2
    assert "holds none for 0.png" in capsys.readouterr().err
    assert not out.exists()


def test_a_depth_that_does_not_fit_is_told(early, late, folders, tmp_path):
    image, small = folders / "color" / "0.png", tmp_path / "small.png"
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(small)
    with pytest.raises(ValueError, match="has the size of its image, 70×90; it is 20×30"):
        zoo.predict(late, image, depth=small)
    Image.fromarray(np.ones(several.SIZE, np.uint8)).save(small)
    text = r"small\.png: a depth has 16 bits, in millimetres; this one has 8\. Take the file of t"
    with pytest.raises(ValueError, match=text):
        zoo.predict(early, image, depth=small)
    text = r"0\.png: a depth has one channel, in millimetres; this one has 3\. Take the file of t"
    with pytest.raises(ValueError, match=text):
        zoo.predict(early, image, depth=folders / "hha/0.png")


def test_layers_of_a_head_and_of_two_trunks_are_shown(two, late, folders, tmp_path):
    image, out = folders / "color" / "0.png", tmp_path / "layers.png"
    words = [str(two), str(image), "--out", str(out), "--head", "geometric"]
    assert showing.activations(words) == 0
    assert out.exists()
    out = tmp_path / "late.png"
    for depth in (folders / "hha", folders / "hha/0.png"):
        words = [str(late), str(image), "--depth", str(depth), "--out", str(out)]
        assert showing.activations(words) == 0
        out.unlink()
    geometric = plain(several.two_heads(), "geometric")
    assert activations.shown_layers(geometric) == [
        *("score_fr_geo", "score_pool4_geo", "fuse_pool4_geo"),
        *("score_pool3_geo", "fuse_pool3_geo"),
    ]
    fused = plain(several.late_fusion())
    assert activations.shown_layers(fused) == ["score_frcolor", "score_frhha", "score_fused"]
    pixels = several.images(several.late_fusion())[0]
    maps = activations.outputs(fused, pixels, ["score_frcolor", "score_frhha", "score_fused"])
    np.testing.assert_allclose((maps[0] + maps[1]) / 2, maps[2], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "classes"),
    [
        (["fcn8s_two_heads"], 33),
        (["fcn8s_two_heads", "--head", "geometric"], 3),
        (["fcn32s_late_fusion"], 40),
    ],
)
def test_a_head_or_two_trunks_are_drawn(words, classes, tmp_path):
    out = tmp_path / "net.svg"
    assert showing.draw([*words, "--out", str(out)]) == 0
    assert f">500 × 500 × {classes}<" in out.read_text(encoding="utf-8")


def test_the_page_takes_one_image(late, capsys):
    assert demo.demo([str(late)]) == 2
    assert "fcn32s_late_fusion takes one of colours and one of depth" in capsys.readouterr().err
