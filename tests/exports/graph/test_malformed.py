"""Malformed images get a no, and nothing else; `python -m tests.fuzz.images` asks for longer."""

import argparse
import collections
import itertools

import pytest

from exports.runtimes import Ask, StatusError, tensorflow_c
from tests.fuzz import images, mutants
from tests.support import serving_double as double


@pytest.fixture(scope="module")
def version(unet_files):
    return unet_files["saved_model"]


@pytest.fixture(scope="module")
def ask(version):
    with tensorflow_c.loaded(version) as ask:
        yield ask


def test_mutants_are_refused_or_decoded_and_threads_get_the_same_answers(
    ask, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(images, "MOST_GROWTH", 0.1)  # a few requests more or less are noise here
    last = tmp_path / "last"
    images.attack(ask, argparse.Namespace(mutants=150, threads=4, requests=60), last)
    said = capsys.readouterr().out
    assert "150 mutants: " in said
    assert "4 threads × 60 requests: each as alone" in said
    assert last.read_bytes() == mutants.mutant(149)


def test_a_mutant_is_its_number_and_every_mutation_makes_some():
    first = [mutants.mutant(number) for number in range(300)]
    assert first == [mutants.mutant(number) for number in range(300)]
    assert len(set(first)) > 280
    assert not set(first) & set(mutants.good_images())
    rng = mutants.random.Random(4)
    for mutation in mutants.MUTATIONS:
        for content in mutants.good_images():
            changed = [mutation(content, rng) for _ in range(8)]
            assert any(one != content for one in changed), mutation
            mutation(b"", rng)


def test_the_good_images_are_of_five_formats_and_two_are_decoded(ask, tmp_path):
    formats = collections.defaultdict(set)
    answers = images.ask_alone(ask, mutants.good_images(), tmp_path / "last")
    for content, answer in zip(mutants.good_images(), answers, strict=True):
        formats[answer is not None].add(mutants.Image.open(mutants.io.BytesIO(content)).format)
    assert formats == {True: {"PNG", "JPEG"}, False: {"GIF", "BMP", "WEBP"}}


def test_a_lying_header_lies_and_has_a_right_check_sum(ask, tmp_path):
    """Some mutants get as far as the decoder: else nothing but the first check would be asked."""
    rng = mutants.random.Random(0)
    for content in mutants.good_images()[:2]:
        lies = [mutants.lie(content, rng) for _ in range(20)]
        sizes = {int.from_bytes(one[16:20]) for one in lies}
        assert len(sizes) > 5
        for one in lies:
            assert int.from_bytes(one[29:33]) == mutants.zlib.crc32(one[12:29])
    answers = images.ask_alone(ask, [mutants.mutant(n) for n in range(120)], tmp_path / "last")
    assert 3 < sum(answer is not None for answer in answers) < 60


def lying(ask: Ask, about: str, lie) -> Ask:
    """A loader that answers one signature wrongly about all but one image."""

    def answer(signature: str, inputs: dict) -> dict:
        wrong = signature == about and inputs["image_bytes"][0] != mutants.good_images()[0]
        return lie(ask, signature) if wrong else ask(signature, inputs)

    return answer


def internal_error(*_):
    raise StatusError(13, "out of order")


def invalid(*_):
    return {"mask_png_bytes": [b"x"], "valid": [0]}


def another_mask(ask, signature):
    return ask(signature, {"image_bytes": double.strings(mutants.good_images()[1:2])})


@pytest.mark.parametrize(
    ("signature", "lie", "text"),
    [
        ("class_map_from_bytes", internal_error, "class_map_from_bytes ends with code 13: out of"),
        ("mask_png", invalid, "valid is 0 and the mask has 1 bytes"),
        ("mask_png", another_mask, "image 0: class_map_from_bytes and mask_png differ"),
        ("class_map_from_bytes", another_mask, "image 0: class_map_from_bytes and mask_png differ"),
    ],
)
def test_a_wrong_answer_is_seen(ask, signature, lie, text, tmp_path):
    with pytest.raises(images.WrongError, match=text):
        images.ask_alone(lying(ask, signature, lie), [b"no image"], tmp_path / "last")


def test_a_good_image_that_is_answered_otherwise_later_is_seen(ask, tmp_path):
    asked = itertools.count()

    def forgetting(signature: str, inputs: dict) -> dict:
        if inputs["image_bytes"][0] == mutants.good_images()[0] and next(asked):
            return another_mask(ask, signature)
        return ask(signature, inputs)

    with pytest.raises(images.WrongError, match="after image 49 a good image has another mask"):
        images.ask_alone(forgetting, [b""] * 50, tmp_path / "last")


def test_a_wrong_mask_in_a_thread_is_seen(ask, tmp_path):
    good = mutants.good_images()[:2]
    masks = images.ask_alone(ask, good, tmp_path / "last")
    right = dict(zip(good, masks, strict=True)) | {b"no": None}
    swapped = dict(zip(good, masks[::-1], strict=True)) | {b"no": None}
    options = {"threads": 2, "requests": 4, "first": 2}
    assert min(images.ask_in_threads(ask, right, **options)) > 10_000
    with pytest.raises(images.WrongError, match=r"request 0 of thread \d has another mask"):
        images.ask_in_threads(ask, swapped, **options)


def test_memory_that_grows_is_seen(version, tmp_path, monkeypatch, capsys):
    memory = iter([100_000, 102_000, 105_000])
    monkeypatch.setattr(images, "resident", lambda: next(memory))
    chosen = ["--mutants", "4", "--threads", "1", "--requests", "4"]
    assert images.main([str(version), *chosen]) == 1
    said = capsys.readouterr().out
    assert "memory 98 MB when loaded, 100 MB early, 103 MB at the end (+3.0%)" in said
    assert "broken: memory grew by 3.0%, where 2% is allowed" in said
