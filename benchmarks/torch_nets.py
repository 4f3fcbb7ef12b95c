"""Four of the zoo's nets as one writes them in PyTorch: the peers of `benchmarks.engines`.

Every width is read from the weights, which are the zoo's: arrays by `layer/variable`. The images
are float32 `[n, 3, h, w]` in RGB, 0-255. The authors' nets take BGR, so the first kernel has its
channels reversed, which gives the same numbers. No part of TensorFlow or Keras is imported.

DeconvNet takes sides that are multiples of 32 and at least 224 here, U-Net those whose mirrored
tile is exact, such as 500: the zoo pads all others.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional

Weights = Mapping[str, np.ndarray]

MEAN_RGB = (122.67891434, 116.66876762, 104.00698793)
STAGES = (2, 2, 3, 3, 3)  # convolutions in each stage of VGG-16
LOSS = 184  # pixels that U-Net's valid convolutions take from each side of the paper's depth
DEPTH = 4
# Up-samplings of FCN: factor and kernel of each, and the pixel at which its crop begins.
UPSCORES = {"fcn8s": (8, 16, 31), "fcn_alexnet": (32, 63, 18)}


def _tensor(array: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.ascontiguousarray(array)))


def _conv(weights: Weights, name: str, *, flipped: bool = False, **options: int) -> nn.Conv2d:
    kernel = weights[f"{name}/kernel"].transpose(3, 2, 0, 1)
    outputs, inputs, *size = kernel.shape
    groups = options.get("groups", 1)
    layer = nn.Conv2d(inputs * groups, outputs, tuple(size), device="meta", **options)
    layer.weight = _tensor(kernel[:, ::-1] if flipped else kernel)
    layer.bias = _tensor(weights[f"{name}/bias"])
    return layer


def _deconv(weights: Weights, name: str, **options: int) -> nn.ConvTranspose2d:
    kernel = weights[f"{name}/kernel"].transpose(3, 2, 0, 1)
    inputs, outputs, *size = kernel.shape
    layer = nn.ConvTranspose2d(inputs, outputs, tuple(size), device="meta", **options)
    layer.weight, layer.bias = _tensor(kernel), _tensor(weights[f"{name}/bias"])
    return layer


def _norm(weights: Weights, name: str) -> nn.BatchNorm2d:
    gamma, beta, mean, variance = (
        torch.from_numpy(weights[f"{name}/{role}"])
        for role in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    layer = nn.BatchNorm2d(len(gamma), eps=1e-9)
    layer.load_state_dict(
        {"weight": gamma, "bias": beta, "running_mean": mean, "running_var": variance},
        strict=False,
    )
    return layer


def _upsampling(channels: int, factor: int, kernel: int) -> nn.ConvTranspose2d:
    """The fixed bilinear up-sampling of FCN, each class by itself."""
    centre, reach = (kernel - 1) / 2 if kernel % 2 else factor - 0.5, (kernel + 1) // 2
    line = 1 - np.abs(np.arange(kernel) - centre) / reach
    layer = nn.ConvTranspose2d(
        channels, channels, kernel, factor, groups=channels, bias=False, device="meta"
    )
    square = np.outer(line, line).astype("float32")
    layer.weight = _tensor(np.broadcast_to(square, (channels, 1, kernel, kernel)))
    return layer


class _Fcn(nn.Module):
    """FCN-8s or FCN-AlexNet: a trunk in stages, a classifier, scores of skips, up-samplings."""

    def __init__(self, trunk: list[nn.Module], weights: Weights, net: str, skips: tuple[str, ...]):
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN_RGB).reshape(1, 3, 1, 1))
        self.trunk = nn.ModuleList(trunk)
        self.classifier = nn.Sequential(
            *(_conv(weights, "fc6"), nn.ReLU(), _conv(weights, "fc7"), nn.ReLU()),
            _conv(weights, "score_fr"),
        )
        classes = len(weights["score_fr/bias"])
        factor, kernel, self.crop = UPSCORES[net]
        self.scores = nn.ModuleList(_conv(weights, f"score_{name}") for name in skips)
        self.ups = nn.ModuleList(_upsampling(classes, 2, 4) for _ in skips)
        self.last = _upsampling(classes, factor, kernel)

    def forward(self, image):
        height, width = image.shape[2:]
        x, pools = functional.pad(image - self.mean, (100, 100, 100, 100)), []
        for stage in self.trunk:
            x = stage(x)
            pools.append(x)
        x = self.classifier(x)
        # Skips: pool4, whose crop begins at 5, then pool3, at 9.
        skips = zip(self.ups, self.scores, (pools[-2], pools[-3]), (5, 9), strict=False)
        for up, score, pool, crop in skips:
            x = up(x)
            rows, columns = x.shape[2:]
            x = x + score(pool)[:, :, crop : crop + rows, crop : crop + columns]
        x = self.last(x)
        return x[:, :, self.crop : self.crop + height, self.crop : self.crop + width]


def _fcn8s(weights: Weights) -> nn.Module:
    trunk = []
    for stage, count in enumerate(STAGES, start=1):
        layers = []
        for index in range(1, count + 1):
            first = (stage, index) == (1, 1)  # not padded: the image has a border of 100
            name = f"conv{stage}_{index}"
            layers += [_conv(weights, name, flipped=first, padding=int(not first)), nn.ReLU()]
        trunk.append(nn.Sequential(*layers, nn.MaxPool2d(2, ceil_mode=True)))
    return _Fcn(trunk, weights, "fcn8s", ("pool4", "pool3"))


def _fcn_alexnet(weights: Weights) -> nn.Module:
    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    def norm() -> nn.Module:
        return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)

    trunk = [
        nn.Sequential(_conv(weights, "conv1", flipped=True, stride=4), nn.ReLU(), pool(), norm()),
        nn.Sequential(_conv(weights, "conv2", padding=2, groups=2), nn.ReLU(), pool(), norm()),
        nn.Sequential(
            *(_conv(weights, "conv3", padding=1), nn.ReLU()),
            *(_conv(weights, "conv4", padding=1, groups=2), nn.ReLU()),
            *(_conv(weights, "conv5", padding=1, groups=2), nn.ReLU(), pool()),
        ),
    ]
    return _Fcn(trunk, weights, "fcn_alexnet", ())


class _DeconvNet(nn.Module):
    def __init__(self, weights: Weights):
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN_RGB).reshape(1, 3, 1, 1))

        def stage(number: int, way: str, norm: str, layer: Callable, **options: int) -> nn.Module:
            layers = []
            for index in range(1, STAGES[number - 1] + 1):
                name, more = f"{way}{number}_{index}", dict(options)
                if name == "conv1_1":
                    more["flipped"] = True
                layers += [layer(weights, name, padding=1, **more)]
                layers += [_norm(weights, f"{norm}{number}_{index}"), nn.ReLU()]
            return nn.Sequential(*layers)

        self.down = nn.ModuleList(stage(n, "conv", "bn", _conv) for n in (1, 2, 3, 4, 5))
        self.bottom = nn.Sequential(
            *(_conv(weights, "fc6"), _norm(weights, "bnfc6"), nn.ReLU()),
            *(_conv(weights, "fc7"), _norm(weights, "bnfc7"), nn.ReLU()),
            *(_deconv(weights, "fc6-deconv"), _norm(weights, "fc6-deconv-bn"), nn.ReLU()),
        )
        self.up = nn.ModuleList(stage(n, "deconv", "debn", _deconv) for n in (5, 4, 3, 2, 1))
        self.score = _conv(weights, "seg-score-voc")

    def forward(self, image):
        x, places = image - self.mean, []
        for stage in self.down:
            x, found = functional.max_pool2d(stage(x), 2, return_indices=True)
            places.append(found)
        x = self.bottom(x)
        for stage in self.up:
            x = stage(functional.max_unpool2d(x, places.pop(), 2))
        return self.score(x)


class _UNet(nn.Module):
    def __init__(self, weights: Weights):
        super().__init__()

        def pair(first: str, second: str) -> nn.Module:
            convolutions = (_conv(weights, f"conv_{name}") for name in (first, second))
            return nn.Sequential(*(part for conv in convolutions for part in (conv, nn.ReLU())))

        levels = range(DEPTH + 1)
        self.down = nn.ModuleList(pair(f"d{level}a-b", f"d{level}b-c") for level in levels)
        below = (f"d{DEPTH}c", *(f"u{level}d" for level in range(DEPTH - 1, 0, -1)))
        self.ups, self.joined = nn.ModuleList(), nn.ModuleList()
        for level, name in zip(range(DEPTH - 1, -1, -1), below, strict=True):
            self.ups.append(_deconv(weights, f"upconv_{name}_u{level}a", stride=2))
            self.joined.append(pair(f"u{level}b-c", f"u{level}c-d"))
        self.score = _conv(weights, "conv_u0d-score")

    def forward(self, image):
        x = functional.pad(image, (LOSS // 2,) * 4, mode="reflect") / 255
        skips = []
        for level, stage in enumerate(self.down):
            x = stage(x)
            if level < DEPTH:
                skips.append(x)
                x = functional.max_pool2d(x, 2)
        for up, joined in zip(self.ups, self.joined, strict=True):
            x, skip = up(x), skips.pop()
            rows, columns = x.shape[2:]
            top, left = (skip.shape[2] - rows) // 2, (skip.shape[3] - columns) // 2
            skip = skip[:, :, top : top + rows, left : left + columns]
            x = joined(torch.cat([skip, x], dim=1))
        return self.score(x)


NETS = {"fcn8s": _fcn8s, "fcn_alexnet": _fcn_alexnet, "deconvnet": _DeconvNet, "unet": _UNet}


def build(net: str, weights: Weights) -> nn.Module:
    """A net in inference mode, with the zoo's weights by `layer/variable`.

    It takes images float32 `[n, 3, h, w]`, 0-255, and gives scores `[n, classes, h, w]`.
    """
    return NETS[net](weights).eval()
