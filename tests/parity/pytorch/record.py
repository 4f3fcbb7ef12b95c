"""Records what nets answer in PyTorch, for the tests of the zoo's.

They are DeconvNet, SegNet, U-Net and the nets of the lecture before it.

The nets are written here a second time, from the tables of the papers and of the authors' files
and not from the zoo's models, with PyTorch's functions alone: `conv2d`, `conv_transpose2d`,
`batch_norm`, `max_pool2d(return_indices=True)`, `max_unpool2d`. Every parameter comes from
`formula.py`. From the root of the repository:

    python3.11 -m venv /tmp/pytorch
    /tmp/pytorch/bin/pip install -r tests/parity/pytorch/requirements.txt
    /tmp/pytorch/bin/python tests/parity/pytorch/record.py

This writes `golden.npz` beside the script and prints what it found. `test_pytorch.py` beside it
holds the zoo's models against the file, so that nobody needs PyTorch to run the tests.

It computes in double precision, so that no rounding of PyTorch's is recorded, except that the mean
colour is subtracted in single precision as the authors do. Of each of the `CASES` the file has, at
some places, the class (none where two are almost equal), the scores, and the gradient of the images
when each score counts `formula.uniform("upstream", …)` times.
"""

import dataclasses
import math
import os
import pathlib

import formula
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # PyTorch's own name for it
from cases import CASES, CLASSES, SCORES, TOLERANCE, UNDECIDED, Case, places

GOLDEN = pathlib.Path(__file__).with_name("golden.npz")
MEAN_BGR = (104.00698793, 116.66876762, 122.67891434)


@dataclasses.dataclass(frozen=True)
class Parts:
    """PyTorch's functions with the formula's parameters of a model, by the names of its layers."""

    model: str

    def given(self, layer: str, role: str, *shape: int) -> torch.Tensor:
        return torch.from_numpy(formula.parameter(self.model, layer, role, shape)).double()

    def conv(
        self,
        x: torch.Tensor,
        name: str,
        outputs: int,
        size: int,
        *,
        pad: int = 0,
        stride: int = 1,
        has_bias: bool = True,
    ) -> torch.Tensor:
        kernel = self.given(name, "kernel", outputs, x.shape[1], size, size)
        bias = self.given(name, "bias", outputs) if has_bias else None
        return F.conv2d(x, kernel, bias, stride=stride, padding=pad)

    def deconv(
        self, x: torch.Tensor, name: str, outputs: int, size: int, *, pad: int = 0, stride: int = 1
    ) -> torch.Tensor:
        kernel = self.given(name, "kernel", x.shape[1], outputs, size, size)
        bias = self.given(name, "bias", outputs)
        return F.conv_transpose2d(x, kernel, bias, stride=stride, padding=pad)

    def bn(self, x: torch.Tensor, name: str, *, epsilon: float, training: bool = False):
        scale, shift, mean, variance = (
            self.given(name, role, x.shape[1]) for role in ("scale", "shift", "mean", "variance")
        )
        # The batch's own statistics where none are given.
        kept = (None, None) if training else (mean, variance)
        return F.batch_norm(x, *kept, scale, shift, training=training, eps=epsilon)

    def bn_relu(self, x: torch.Tensor, name: str, **how: float | bool) -> torch.Tensor:
        return F.relu(self.bn(x, name, **how))


def deconvnet(images: torch.Tensor, case: Case) -> torch.Tensor:
    """Scores [n, classes, h, w] of RGB images [n, 3, h, w], 0-255."""
    height, width = images.shape[2:]
    bottom, right = (max(224, math.ceil(side / 32) * 32) - side for side in (height, width))
    x = F.pad(images, (0, right, 0, bottom)).flip(1)
    x = (x - torch.tensor(MEAN_BGR).reshape(1, 3, 1, 1)).double()
    one, two, three, four, five = case.options["stages"]
    head, parts = case.options["fc_filters"], Parts("deconvnet")

    def normalized(x: torch.Tensor, name: str) -> torch.Tensor:
        return parts.bn_relu(x, name, epsilon=1e-9, training=case.training)

    masks = {}
    for stage, (count, outputs) in enumerate(
        [(2, one), (2, two), (3, three), (3, four), (3, five)], start=1
    ):
        for index in range(1, count + 1):
            x = parts.conv(x, f"conv{stage}_{index}", outputs, 3, pad=1)
            x = normalized(x, f"bn{stage}_{index}")
        x, masks[stage] = F.max_pool2d(x, 2, return_indices=True)
    x = normalized(parts.conv(x, "fc6", head, 7), "bnfc6")
    x = normalized(parts.conv(x, "fc7", head, 1), "bnfc7")
    x = normalized(parts.deconv(x, "fc6-deconv", five, 7), "fc6-deconv-bn")
    for stage, widths in [
        (5, (five, five, four)),
        (4, (four, four, three)),
        (3, (three, three, two)),
        (2, (two, one)),
        (1, (one, one)),
    ]:
        x = F.max_unpool2d(x, masks[stage], 2)
        for index, outputs in enumerate(widths, start=1):
            name = f"{stage}_{index}"
            x = parts.deconv(x, f"deconv{name}", outputs, 3, pad=1)
            x = normalized(x, f"debn{name}")
    scores = parts.conv(x, "seg-score-voc", case.options["classes"], 1)
    return scores[:, :, :height, :width]


def segnet(images: torch.Tensor, case: Case) -> torch.Tensor:
    """Scores [n, classes, h, w] of RGB images [n, 3, h, w], 0-255; BGR within, no mean."""
    x, filters, classes = images.flip(1).double(), case.options["filters"], case.options["classes"]
    basic, parts = case.options.get("definition") == "basic", Parts("segnet")
    kept = []  # of each pooling: the places of its maxima, and the size before it

    def pooled(x: torch.Tensor) -> torch.Tensor:
        y, places = F.max_pool2d(x, 2, ceil_mode=True, return_indices=True)
        kept.append((places, x.shape[2:]))
        return y

    def unpooled(x: torch.Tensor) -> torch.Tensor:
        places, size = kept.pop()
        return F.max_unpool2d(x, places, 2, output_size=size)

    if basic:
        x = F.local_response_norm(x, 5, alpha=1e-4, beta=0.75)
        for name in ("conv1", "conv2", "conv3", "conv4"):
            x = parts.bn_relu(
                parts.conv(x, name, filters, 7, pad=3),
                f"{name}_bn",
                epsilon=1e-9,
                training=case.training,
            )
            x = pooled(x)
        for name in ("conv_decode4", "conv_decode3", "conv_decode2", "conv_decode1"):
            x = parts.conv(unpooled(x), name, filters, 7, pad=3)
            x = parts.bn(x, f"{name}_bn", epsilon=1e-9, training=case.training)
        return parts.conv(x, "conv_classifier", classes, 1)

    def normalized(x: torch.Tensor, name: str, outputs: int) -> torch.Tensor:
        return parts.bn_relu(
            parts.conv(x, name, outputs, 3, pad=1),
            f"{name}_bn",
            epsilon=1e-9,
            training=case.training,
        )

    one, two, four, eight = (filters * times for times in (1, 2, 4, 8))
    for stage, widths in enumerate(
        [(one, one), (two, two), (four,) * 3, (eight,) * 3, (eight,) * 3], start=1
    ):
        for index, outputs in enumerate(widths, start=1):
            x = normalized(x, f"conv{stage}_{index}", outputs)
        x = pooled(x)
    for names in (
        {"conv5_3_D": eight, "conv5_2_D": eight, "conv5_1_D": eight},
        {"conv4_3_D": eight, "conv4_2_D": eight, "conv4_1_D": four},
        {"conv3_3_D": four, "conv3_2_D": four, "conv3_1_D": two},
        {"conv2_2_D": two, "conv2_1_D": one},
        {"conv1_2_D": one},
    ):
        x = unpooled(x)
        for name, outputs in names.items():
            x = normalized(x, name, outputs)
    return parts.conv(x, "conv1_1_D", classes, 3, pad=1)


def fullres(images: torch.Tensor, case: Case) -> torch.Tensor:
    """Scores [n, classes, h, w] of images [n, channels, h, w], 0-255."""
    x, parts = images.double() / 255, Parts("fullres")
    for index in range(1, case.options["depth"] + 1):
        x = F.relu(parts.conv(x, f"conv_{index}", case.options["filters"], 3, pad=1))
    return parts.conv(x, "score", case.options["classes"], 1)


def encoder_decoder(images: torch.Tensor, case: Case) -> torch.Tensor:
    """Scores [n, classes, h, w] of images [n, channels, h, w], 0-255."""
    depth, up = case.options["depth"], case.options["upsampling"]
    strided = case.options.get("downsampling") == "strided"
    x, kept, parts = images.double() / 255, [], Parts("encoder_decoder")
    for level in range(depth + 1):
        width = case.options["filters"] << level
        x = F.relu(parts.conv(x, f"conv_d{level}_1", width, 3, pad=1))
        x = F.relu(parts.conv(x, f"conv_d{level}_2", width, 3, pad=1))
        if level == depth:
            break
        size, places = x.shape[2:], None
        if strided:
            x = F.relu(parts.conv(x, f"down_d{level}", width, 3, pad=1, stride=2))
        else:
            x, places = F.max_pool2d(x, 2, ceil_mode=True, return_indices=True)
        kept.append((size, places))
    for level in range(depth - 1, -1, -1):
        width, (size, places) = case.options["filters"] << level, kept.pop()
        rows, columns = x.shape[2:]
        if up == "transposed":
            kernel = parts.given(f"upconv_u{level}", "kernel", x.shape[1], width, 3, 3)
            bias = parts.given(f"upconv_u{level}", "bias", width)
            x = F.conv_transpose2d(x, kernel, bias, stride=2, padding=1, output_padding=1)
        else:
            x = parts.conv(x, f"narrow_u{level}", width, 1)
        if up == "max_unpooling":
            x = F.max_unpool2d(x, places, 2, output_size=size)
        elif up == "bed_of_nails":
            nails = torch.zeros(*x.shape[:2], 2 * rows, 2 * columns, dtype=x.dtype)
            nails[:, :, ::2, ::2] = x
            x = nails
        elif up == "bilinear":
            line = torch.tensor([0.25, 0.75, 0.75, 0.25], dtype=x.dtype)
            kernel = torch.outer(line, line).expand(width, 1, 4, 4)
            x = F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=width)
        elif up == "nearest":
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = x[:, :, : size[0], : size[1]]
        x = F.relu(parts.conv(x, f"conv_u{level}_1", width, 3, pad=1))
        x = F.relu(parts.conv(x, f"conv_u{level}_2", width, 3, pad=1))
    return parts.conv(x, "score", case.options["classes"], 1)


def unet(images: torch.Tensor, case: Case) -> torch.Tensor:
    """Scores [n, classes, h, w] of images [n, channels, h, w], 0-255."""
    depth, filters = case.options["depth"], case.options["filters"]
    release = case.options.get("definition") == "release"
    pad = 1 if case.options["border"] == "same" else 0
    height, width = images.shape[2:]
    parts = Parts("unet")
    if case.options["border"] == "mirror":
        images = mirrored(images, depth)
    elif pad:
        images = padded(images, 2**depth)

    def level_of(x: torch.Tensor, way: str, level: int, first: str) -> torch.Tensor:
        for here, there in (first, first[1] + chr(ord(first[1]) + 1)):
            name = f"{way}{level}{here}-{there}"
            if case.options.get("batch_norm"):
                x = parts.conv(x, f"conv_{name}", filters << level, 3, pad=pad, has_bias=False)
                x = parts.bn_relu(x, f"bn_{name}", epsilon=1e-3)
            else:
                x = F.relu(parts.conv(x, f"conv_{name}", filters << level, 3, pad=pad))
        return x

    x, skips = images.double() / 255, []
    for level in range(depth + 1):
        x = level_of(x, "d", level, "ab")
        if level < depth:
            skips.append(x)
            x = F.max_pool2d(x, 2)
    below = f"d{depth}c"
    for level in range(depth - 1, -1, -1):
        # In the release the last of them keeps the features of the level below.
        outputs = filters << (1 if release and level == 0 else level)
        x = parts.deconv(x, f"upconv_{below}_u{level}a", outputs, 2, stride=2)
        skip = centre(skips[level], x)
        x = torch.cat([F.relu(x), skip] if release else [skip, x], dim=1)
        x = level_of(x, "u", level, "bc")
        below = f"u{level}d"
    scores = parts.conv(x, "conv_u0d-score", case.options["classes"], 1)
    return scores[:, :, :height, :width]


def unet_vgg16(images: torch.Tensor, case: Case) -> torch.Tensor:
    """Scores [n, classes, h, w] of RGB images [n, 3, h, w], 0-255."""
    height, width = images.shape[2:]
    parts, widths = Parts("unet_vgg16"), case.options["stages"]
    x = padded((images.flip(1) - torch.tensor(MEAN_BGR).reshape(1, 3, 1, 1)).double(), 32)
    skips = []
    for stage, (count, outputs) in enumerate(zip((2, 2, 3, 3, 3), widths, strict=True), start=1):
        for index in range(1, count + 1):
            x = F.relu(parts.conv(x, f"conv{stage}_{index}", outputs, 3, pad=1))
        skips.append(x)
        x = F.max_pool2d(x, 2)
    for index in (1, 2):
        x = F.relu(parts.conv(x, f"bottom_{index}", widths[-1], 3, pad=1))
    for stage in (5, 4, 3, 2, 1):
        outputs = widths[stage - 1]
        x = parts.deconv(x, f"upconv{stage}", outputs, 2, stride=2)
        x = torch.cat([skips.pop(), x], dim=1)
        for index in (1, 2):
            x = F.relu(parts.conv(x, f"up{stage}_{index}", outputs, 3, pad=1))
    return parts.conv(x, "up-score", case.options["classes"], 1)[:, :, :height, :width]


def padded(images: torch.Tensor, multiple: int) -> torch.Tensor:
    """The images with zeros at the bottom and right, to a multiple of a number of pixels."""
    bottom, right = (-side % multiple for side in images.shape[2:])
    return F.pad(images, (0, right, 0, bottom))


def centre(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    top, left = ((a - b) // 2 for a, b in zip(x.shape[2:], like.shape[2:], strict=True))
    return x[:, :, top : top + like.shape[2], left : left + like.shape[3]]


def mirrored(images: torch.Tensor, depth: int) -> torch.Tensor:
    """The images with a mirrored border, so that a valid net's scores begin at their top left."""
    for axis in (2, 3):
        side = images.shape[axis]
        tile = next(n for n in range(side, 10_000) if (valid_size(n, depth) or 0) >= side)
        margin = (tile - valid_size(tile, depth)) // 2
        sources = np.pad(np.arange(side), (margin, tile - side - margin), mode="reflect")
        images = images.index_select(axis, torch.from_numpy(sources))
    return images


def valid_size(size: int, depth: int) -> int | None:
    """The size of the scores for an image of `size`; None where a pooling would meet odd rows."""
    for _ in range(depth):
        size -= 4
        if size < 2 or size % 2:
            return None
        size //= 2
    size -= 4
    for _ in range(depth):
        size = 2 * size - 4
    return size if size > 0 else None


NETS = {
    "deconvnet": deconvnet,
    "encoder_decoder": encoder_decoder,
    "fullres": fullres,
    "segnet": segnet,
    "unet": unet,
    "unet_vgg16": unet_vgg16,
}


def record(name: str, case: Case, arrays: dict[str, np.ndarray]) -> str:
    """Adds the arrays of one case and returns what there is to say about it."""
    net = NETS[case.model]
    image = torch.from_numpy(formula.images(case.shape)).requires_grad_()
    answer = net(image.permute(0, 3, 1, 2), case).permute(0, 2, 3, 1)
    scores = answer.detach().numpy()
    answer.backward(torch.from_numpy(formula.uniform("upstream", scores.shape)))
    class_map = scores.argmax(-1).astype("uint8")
    second, first = np.moveaxis(np.sort(scores, axis=-1)[..., -2:], -1, 0)
    undecided = first - second < TOLERANCE * np.abs(scores).max()
    class_map[undecided] = UNDECIDED
    arrays[f"{name}_class_map"] = places(class_map, CLASSES)
    arrays[f"{name}_scores"] = places(scores, SCORES).astype("float32")
    arrays[f"{name}_gradient"] = places(image.grad.numpy(), SCORES)
    won = np.bincount(class_map[~undecided], minlength=scores.shape[-1])
    return (
        f"{name}: scores {scores.min():.3g} to {scores.max():.3g}, pixels of each class "
        f"{', '.join(map(str, won))}, of none {undecided.sum()}"
    )


if __name__ == "__main__":
    arrays: dict[str, np.ndarray] = {}
    findings = [f"PyTorch {torch.__version__}, NumPy {np.__version__}"]
    findings += [record(name, case, arrays) for name, case in CASES.items()]
    unfinished = GOLDEN.with_name("golden.unfinished.npz")
    np.savez_compressed(unfinished, findings=np.array(findings), **arrays)
    os.replace(unfinished, GOLDEN)
    print(*findings, f"Wrote {GOLDEN} ({GOLDEN.stat().st_size} bytes).", sep="\n")
