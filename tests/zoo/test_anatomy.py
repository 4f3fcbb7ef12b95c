"""What a drawing shows of a model: the stages along its longest way, and what skips them."""

import pytest

import zoo
from tests.support.toys import ALL, ALL_TOYS, build_toy
from zoo.anatomy import anatomy, multiplications


def test_fcn8s_has_two_skips_of_scores():
    stages, skips = anatomy(build_toy("fcn8s"), (500, 500))
    sizes = {stage.layers: stage.size for stage in stages}
    assert stages[0].layers == ("image",)
    assert sizes[("pad100",)] == (700, 700, 3)
    assert sizes[("conv1_1", "conv1_2")] == (698, 698, 4)
    assert sizes[("fc6", "fc7")] == (16, 16, 12)
    assert [stage.layers for stage in stages][-7:] == [
        *(("score_fr",), ("upscore2",), ("fuse_pool4",), ("upscore_pool4",), ("fuse_pool3",)),
        *(("upscore8",), ("score",)),
    ]
    assert sizes[("score",)] == (500, 500, 4)
    ways = [
        (stages[x.start].layers, x.layers, x.size, stages[x.end].layers, x.switches) for x in skips
    ]
    assert ways == [
        (
            *(("pool4",), ("score_pool4", "score_pool4c"), (34, 34, 4)),
            *(("fuse_pool4",), False),
        ),
        (
            *(("pool3",), ("score_pool3", "score_pool3c"), (70, 70, 4)),
            *(("fuse_pool3",), False),
        ),
    ]


def test_deconvnet_hands_on_five_switches():
    stages, skips = anatomy(build_toy("deconvnet"), (224, 224))
    ways = [(stages[x.start].layers, stages[x.end].layers) for x in skips]
    assert ways == [((f"pool{n}",), (f"unpool{n}",)) for n in (5, 4, 3, 2, 1)]
    assert all(skip.switches and not skip.layers for skip in skips)
    assert [skip.size[0] for skip in skips] == [7, 14, 28, 56, 112]
    assert {stage.kind for stage in stages} == {
        *("image", "padding or crop", "convolution", "pooling", "unpooling", "deconvolution")
    }


def test_unet_has_a_cropped_skip_for_each_level():
    stages, skips = anatomy(build_toy("unet"), (388, 388))
    ways = [(stages[x.start].layers, x.layers, stages[x.end].layers) for x in skips]
    assert ways == [
        (("conv_d1b-c",), ("crop_d1c-d1cc",), ("concat_d1cc_u1a-b",)),
        (("conv_d0b-c",), ("crop_d0c-d0cc",), ("concat_d0cc_u0a-b",)),
    ]


@pytest.mark.parametrize("name", ALL)
def test_every_layer_that_has_weights_is_in_it(name):
    model = build_toy(name)
    stages, skips = anatomy(model, (300, 200))
    shown = {layer for stage in stages for layer in stage.layers}
    shown |= {layer for skip in skips for layer in skip.layers}
    convolutions = {x.name for x in model.layers if len(x.weights) == 2}
    assert convolutions <= shown
    # Of SegNet the lowest switches go to the next stage: they are a way of their own even there.
    assert all(skip.start < skip.end - (0 if skip.switches else 1) for skip in skips)


def test_multiplications_are_those_of_a_unet_by_hand():
    """Of a tile of 92 × 108 without a mirror: each convolution of 3 × 3 loses two pixels."""
    model = zoo.build("unet", filters=4, depth=1, border="valid")
    by_hand = 9 * (90 * 106 * 3 * 4 + 88 * 104 * 4 * 4)  # down
    by_hand += 9 * (42 * 50 * 4 * 8 + 40 * 48 * 8 * 8)  # at the bottom
    by_hand += 40 * 48 * 2 * 2 * 8 * 4  # the up-convolution
    by_hand += 9 * (78 * 94 * 8 * 4 + 76 * 92 * 4 * 4)  # up
    assert multiplications(model, (92, 108)) == by_hand + 76 * 92 * 4 * 2


def test_two_trunks_take_twice_the_multiplications():
    late, one = (
        multiplications(build_whole(x), (60, 80)) for x in ("fcn32s_late_fusion", "fcn32s")
    )
    assert late == 2 * one


def build_whole(name):
    """A toy with all its inputs."""
    return zoo.build(name, **ALL_TOYS[name].options)
