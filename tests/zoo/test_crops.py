"""Where each crop of an FCN begins follows from the windows, strides and pads before it.

These are the rules of `python/caffe/coord_map.py` in github.com/BVLC/caffe, with which the authors
computed the numbers that the zoo's tables state.
"""

import keras
import pytest

from tests.support.toys import build_toy
from zoo.calls import calls
from zoo.layers import BilinearUpsampling, CaffeMaxPooling, CropLike, MaxPoolingWithArgmax

POOLINGS = (
    *(keras.layers.MaxPooling2D, keras.layers.AveragePooling2D),
    *(CaffeMaxPooling, MaxPoolingWithArgmax),
)
FCNS = {
    name: {}
    for name in (
        *("fcn_alexnet", "fcn32s", "fcn16s", "fcn8s", "fcn8s_atonce", "fcn32s_two_heads"),
        *("fcn16s_two_heads", "fcn8s_two_heads", "fcn32s_early_fusion", "fcn32s_late_fusion"),
        "fcn_googlenet",
    )
}
CASES = [*FCNS.items(), ("fcn_googlenet", {"final_pooling": "none"})]
CROPS = {
    "fcn_alexnet": [18],
    "fcn32s": [19],
    "fcn16s": [5, 27],
    "fcn8s": [5, 9, 31],
    "fcn_googlenet": [16],
}


def side(value: int | tuple[int, int]) -> int:
    return value if isinstance(value, int) else value[0]


def crops(model: keras.Model) -> list[tuple[float, int]]:
    """Of each crop where it has to begin, and where it does.

    Place `i` of a tensor lies at `scale * i + shift` of the image, in pixels.
    """
    seen, found = {}, []
    for call in calls(model):
        layer = call.operation
        maps = [seen[id(x)] for x in call.input_tensors] or [(1.0, 0.0)]
        if isinstance(layer, CropLike):
            (scale, shift), (scale_like, shift_like) = maps
            assert scale == scale_like, layer.name
            found.append(((shift_like - shift) / scale, side(layer.offset)))
            maps = maps[1:]
        assert len(set(maps)) == 1, f"{layer.name} mixes places"
        scale, shift = maps[0]
        if isinstance(layer, keras.layers.ZeroPadding2D):
            shift -= scale * layer.padding[0][0]
        elif isinstance(layer, BilinearUpsampling):
            scale /= layer.factor
            shift -= scale * (layer.kernel_size - 1) / 2
        elif isinstance(layer, (keras.layers.Conv2D, *POOLINGS)):
            window = side(getattr(layer, "kernel_size", None) or layer.pool_size)
            stride = side(getattr(layer, "strides", window))
            # At a stride of 2, Keras's "same" adds rows at the end alone, as Caffe's ceil mode.
            padded = getattr(layer, "padding", "valid") == "same" and stride == 1
            shift += scale * ((window - 1) / 2 - (window // 2 if padded else 0))
            scale *= stride
        for output in call.outputs:
            seen[id(output)] = scale, shift
    return found


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_crop_begins_where_the_coordinate_map_says(name, options):
    found = crops(build_toy(name, **options))
    assert found
    for expected, begins in found:
        assert begins == expected
    known = CROPS.get(name.removesuffix("_atonce").removesuffix("_two_heads"), [19])
    assert sorted(begins for _, begins in found) == ([112] if options else known)


@pytest.mark.parametrize("final_pooling", ["average", "none"])
def test_the_scores_of_googlenet_cover_every_image(final_pooling):
    """A crop that reaches beyond them is refused; after 32 pixels all repeats, a score later."""
    model = build_toy("fcn_googlenet", final_pooling=final_pooling)
    for size in range(1, 70):
        scores = model.compute_output_spec(keras.KerasTensor((1, size, size, 3)))
        assert scores.shape == (1, size, size, 4)


def test_a_border_of_one_pixel_less_is_too_small_for_googlenet():
    """114 is the smallest with which the window of 7 × 7 has features for a single pixel."""
    for border, features in ((114, 7), (113, 6)):
        side = (1 + 2 * border - 7) // 2 + 1
        for _ in range(4):
            side = -(-(side - 3) // 2) + 1
        assert side == features
