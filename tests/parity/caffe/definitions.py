"""The authors' nets as Caffe definitions, in any widths, for an engine that runs Caffe's nets.

Written from the papers' tables and the settings of github.com/shelhamer/fcn.berkeleyvision.org,
github.com/HyeonwooNoh/DeconvNet and the U-Net release of 2015, not from the zoo's models: names,
windows, strides, pads, groups, crops, scales and the order of the layers are stated here a second
time.
"""

import dataclasses

import numpy as np

CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}  # of each stage


@dataclasses.dataclass
class Net:
    """A definition in the making: its text, and the shape of each blob by its layer's name."""

    lines: list[str]
    shapes: dict[str, list[tuple[int, ...]]]
    fixed: dict[str, list[np.ndarray]]
    channels: dict[str, int]
    inputs: tuple[str, ...] = ("data",)

    def add(self, kind: str, name: str, bottom: str, *more: str, **settings: str) -> str:
        """A layer whose settings are messages of text; the output has the layer's name."""
        bottoms = " ".join(f'bottom: "{blob}"' for blob in (bottom, *more))
        messages = " ".join(f"{key} {{ {text} }}" for key, text in settings.items())
        tops = f'top: "{name}"'
        if kind == "PoolingWithMask":
            kind, tops = "Pooling", f'top: "{name}" top: "{name}_mask"'
        self.lines.append(f'layer {{ name: "{name}" type: "{kind}" {bottoms} {tops} {messages} }}')
        self.channels[name] = self.channels[bottom]
        return name

    def conv(
        self,
        name,
        bottom,
        outputs,
        kernel,
        *,
        stride=1,
        pad=0,
        group=1,
        deconv=False,
        relu=True,
        bias=True,
    ) -> str:
        inputs = self.channels[bottom]
        self.add(
            "Deconvolution" if deconv else "Convolution",
            name,
            bottom,
            convolution_param=f"num_output: {outputs} kernel_size: {kernel} stride: {stride} "
            f"pad: {pad} group: {group} bias_term: {str(bias).lower()}",
        )
        self.channels[name] = outputs
        first = (inputs, outputs) if deconv else (outputs, inputs // group)
        self.shapes[name] = [(*first, kernel, kernel), (outputs,)][: 1 + bias]
        return self.add("ReLU", f"{name}_relu", name) if relu else name

    def upscore(self, name, bottom, kernel, stride) -> str:
        """A deconvolution without bias that holds the bilinear kernel on its diagonal."""
        classes = self.channels[bottom]
        self.add(
            "Deconvolution",
            name,
            bottom,
            convolution_param=f"num_output: {classes} kernel_size: {kernel} stride: {stride} "
            "bias_term: false",
        )
        factor = (kernel + 1) // 2
        centre = factor - 1 if kernel % 2 else factor - 0.5
        line = [1 - abs(place - centre) / factor for place in range(kernel)]
        blob = np.zeros((classes, classes, kernel, kernel), "float32")
        for one in range(classes):
            blob[one, one] = np.outer(line, line)
        self.fixed[name] = [blob]
        return name

    def inner_product(self, name, bottom, outputs, inputs, *, relu=True) -> str:
        self.add("InnerProduct", name, bottom, inner_product_param=f"num_output: {outputs}")
        self.channels[name] = outputs
        self.shapes[name] = [(outputs, inputs), (outputs,)]
        return self.add("ReLU", f"{name}_relu", name) if relu else name

    def crop(self, name, bottom, like, offset) -> str:
        return self.add("Crop", name, bottom, like, crop_param=f"axis: 2 offset: {offset}")

    def concat(self, name, *bottoms) -> str:
        self.add("Concat", name, *bottoms)
        self.channels[name] = sum(self.channels[bottom] for bottom in bottoms)
        return name

    def pool(self, name, bottom, kernel) -> str:
        return self.add(
            "Pooling", name, bottom, pooling_param=f"pool: MAX kernel_size: {kernel} stride: 2"
        )

    def scale(self, name, bottom, value) -> str:
        self.fixed[name] = [np.full(self.channels[bottom], value, "float32")]
        return self.add("Scale", name, bottom)

    def bn_relu(self, name, bottom, *, relu=True) -> str:
        """DeconvNet's normalization for inference: a scale and a shift for each channel."""
        self.add("Scale", name, bottom, scale_param="bias_term: true")
        self.shapes[name] = [(self.channels[bottom],)] * 2
        return self.add("ReLU", f"{name}_relu", name) if relu else name

    def pool_with_mask(self, name, bottom) -> str:
        window = "pool: MAX kernel_size: 2 stride: 2"
        return self.add("PoolingWithMask", name, bottom, pooling_param=window)

    def unpool(self, name, bottom, pool) -> str:
        window = "pool_k_h: 2 pool_k_w: 2 pool_stride_h: 2 pool_stride_w: 2"
        window += " pool_pad_h: 0 pool_pad_w: 0"
        return self.add("MaxUnpool", name, bottom, f"{pool}_mask", max_unpool_param=window)

    def prototxt(self, height: int, width: int) -> str:
        lines = []
        for name in self.inputs:
            shape = f"dim: 1 dim: {self.channels[name]} dim: {height} dim: {width}"
            shape = f"input_param {{ shape {{ {shape} }} }}"
            lines.append(f'layer {{ name: "{name}" type: "Input" top: "{name}" {shape} }}')
        return "\n".join([*lines, *self.lines])


def _net(channels: int = 3) -> Net:
    return Net([], {}, {}, {"data": channels})


def fcn_alexnet(*, classes: int, stages: tuple[int, ...], fc_filters: int) -> Net:
    net = _net()
    x = net.conv("fc6", _alexnet(net, stages, pad=100), fc_filters, 6)
    x = net.conv("fc7", x, fc_filters, 1)
    x = net.conv("score_fr", x, classes, 1, relu=False)
    net.crop("score", net.upscore("upscore", x, 63, 32), "data", 18)
    return net


def caffenet(*, classes: int, stages: tuple[int, ...], fc_filters: int) -> Net:
    """The classifier that FCN-AlexNet is made of, for images of 227 × 227."""
    net = _net()
    x = net.inner_product("fc6", _alexnet(net, stages, pad=0), fc_filters, 6 * 6 * stages[4])
    x = net.inner_product("fc7", x, fc_filters, fc_filters)
    net.inner_product("fc8", x, classes, fc_filters, relu=False)
    return net


def _alexnet(net: Net, stages: tuple[int, ...], *, pad: int) -> str:
    lrn = dict(lrn_param="local_size: 5 alpha: 0.0001 beta: 0.75")
    x = net.conv("conv1", "data", stages[0], 11, stride=4, pad=pad)
    x = net.add("LRN", "norm1", net.pool("pool1", x, 3), **lrn)
    x = net.conv("conv2", x, stages[1], 5, pad=2, group=2)
    x = net.add("LRN", "norm2", net.pool("pool2", x, 3), **lrn)
    x = net.conv("conv3", x, stages[2], 3, pad=1)
    x = net.conv("conv4", x, stages[3], 3, pad=1, group=2)
    x = net.conv("conv5", x, stages[4], 3, pad=1, group=2)
    return net.pool("pool5", x, 3)


def _vgg(
    net: Net,
    *,
    stages: tuple[int, ...],
    fc_filters: int,
    trunk: str = "vgg16",
    data: str = "data",
    first: str = "conv1_1",
    suffix: str = "",
) -> str:
    x = data
    for stage, count in enumerate(CONVOLUTIONS[trunk], 1):
        for index in range(1, count + 1):
            begins = stage == index == 1
            name = first if begins else f"conv{stage}_{index}"
            pad = 100 if begins else 1
            x = net.conv(name + suffix, x, stages[stage - 1], 3, pad=pad)
        x = net.pool(f"pool{stage}{suffix}", x, 2)
    x = net.conv(f"fc6{suffix}", x, fc_filters, 7)
    return net.conv(f"fc7{suffix}", x, fc_filters, 1)


# Each inception module's filters: 1 × 1; before and of 3 × 3; before and of 5 × 5; after its pool.
INCEPTION = {
    **{"3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64)},
    **{"4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64)},
    **{"4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64)},
    **{"4e": (256, 160, 320, 32, 128, 128), "5a": (256, 160, 320, 32, 128, 128)},
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet(net: Net, *, filters: int, pad: int) -> str:
    """BVLC's GoogLeNet up to its last module; `filters` 64 and a pad of 3 are BVLC's."""
    lrn = dict(lrn_param="local_size: 5 alpha: 0.0001 beta: 0.75")
    part = filters / 64
    x = net.conv("conv1/7x7_s2", "data", filters, 7, stride=2, pad=pad)
    x = net.add("LRN", "pool1/norm1", net.pool("pool1/3x3_s2", x, 3), **lrn)
    x = net.conv("conv2/3x3_reduce", x, int(64 * part), 1)
    x = net.conv("conv2/3x3", x, int(192 * part), 3, pad=1)
    x = net.pool("pool2/3x3_s2", net.add("LRN", "conv2/norm2", x, **lrn), 3)
    for module, widths in INCEPTION.items():
        if module in ("4a", "5a"):
            x = net.pool(f"pool{int(module[0]) - 1}/3x3_s2", x, 3)
        one, three_before, three, five_before, five, after = (int(w * part) for w in widths)
        name = f"inception_{module}"
        window = "pool: MAX kernel_size: 3 stride: 1 pad: 1"
        x = net.concat(
            f"{name}/output",
            net.conv(f"{name}/1x1", x, one, 1),
            net.conv(
                f"{name}/3x3", net.conv(f"{name}/3x3_reduce", x, three_before, 1), three, 3, pad=1
            ),
            net.conv(
                f"{name}/5x5", net.conv(f"{name}/5x5_reduce", x, five_before, 1), five, 5, pad=2
            ),
            net.conv(
                f"{name}/pool_proj",
                net.add("Pooling", f"{name}/pool", x, pooling_param=window),
                after,
                1,
            ),
        )
    return x


def fcn_googlenet(*, classes: int, filters: int, final_pooling: str = "average") -> Net:
    """The zoo's reading of a net that was never published: see `zoo.models.fcn_googlenet`."""
    net = _net()
    x = googlenet(net, filters=filters, pad=114)
    if final_pooling == "average":
        window = "pool: AVE kernel_size: 7 stride: 1"
        x = net.add("Pooling", "pool5/7x7_s1", x, pooling_param=window)
    x = net.conv("score_fr", x, classes, 1, relu=False)
    offset = 16 if final_pooling == "average" else 112
    net.crop("score", net.upscore("upscore", x, 63, 32), "data", offset)
    return net


def fcn_vgg(name: str, *, classes: int, **trunk) -> Net:
    net = _net()
    _vgg_head(net, name, _vgg(net, **trunk), classes)
    return net


def siftflow(name: str, *, classes: int, geometric_classes: int = 3, **trunk) -> Net:
    """SIFT Flow's nets: one trunk and two heads, whose layers have a suffix."""
    net = _net()
    x = _vgg(net, **trunk)
    _vgg_head(net, name, x, classes, suffix="_sem")
    _vgg_head(net, name, x, geometric_classes, suffix="_geo")
    return net


def early_fusion(*, classes: int, **trunk) -> Net:
    """NYUDv2's net of four channels: blue, green, red and the logarithm of the depth."""
    net = _net(4)
    _vgg_head(net, "fcn32s", _vgg(net, first="conv1_1_bgrd", **trunk), classes)
    return net


def late_fusion(*, classes: int, **trunk) -> Net:
    """NYUDv2's net of two trunks, whose scores at 32 pixels count by half each."""
    kinds = ("color", "hha")
    net = Net([], {}, {}, dict.fromkeys(kinds, 3), kinds)
    scores = [
        net.conv(
            f"score_fr{kind}",
            _vgg(net, data=kind, suffix=kind, **trunk),
            classes,
            1,
            relu=False,
        )
        for kind in kinds
    ]
    halves = "operation: SUM coeff: 0.5 coeff: 0.5"
    x = net.add("Eltwise", "score_fused", *scores, eltwise_param=halves)
    net.crop("score", net.upscore("upscore", x, 64, 32), "color", 19)
    return net


def _vgg_head(net: Net, name: str, x: str, classes: int, *, suffix: str = "") -> None:
    x = net.conv(f"score_fr{suffix}", x, classes, 1, relu=False)
    if name == "fcn32s":
        net.crop(f"score{suffix}", net.upscore(f"upscore{suffix}", x, 64, 32), "data", 19)
        return

    def fuse(x: str, pool: str, upscore: str, scale: float, offset: int) -> str:
        x = net.upscore(f"{upscore}{suffix}", x, 4, 2)
        skip = net.scale(f"scale_{pool}", pool, scale) if name == "fcn8s_atonce" else pool
        skip = net.conv(f"score_{pool}{suffix}", skip, classes, 1, relu=False)
        skip = net.crop(f"score_{pool}{suffix}c", skip, x, offset)
        fused = f"fuse_{pool}{suffix}"
        return net.add("Eltwise", fused, x, skip, eltwise_param="operation: SUM")

    x = fuse(x, "pool4", "upscore2", 0.01, 5)
    if name == "fcn16s":
        net.crop(f"score{suffix}", net.upscore(f"upscore16{suffix}", x, 32, 16), "data", 27)
        return
    x = fuse(x, "pool3", "upscore_pool4", 0.0001, 9)
    net.crop(f"score{suffix}", net.upscore(f"upscore8{suffix}", x, 16, 8), "data", 31)


def fcn_vgg_2015(name: str, *, classes: int, **trunk) -> Net:
    """FCN-16s and FCN-8s as first published: other names, learned kernels between the skips."""
    net = _net()
    x = net.conv("score-fr", _vgg(net, **trunk), classes, 1, relu=False)
    learned = dict(stride=2, deconv=True, relu=False)
    x = net.conv("score2", x, classes, 4, **learned)
    skip = net.conv("score-pool4", "pool4", classes, 1, relu=False)
    skip = net.crop("score-pool4c", skip, x, 5)
    x = net.add("Eltwise", "score-fused", x, skip, eltwise_param="operation: SUM")
    if name == "fcn16s":
        net.crop("score", net.upscore("upsample", x, 32, 16), "data", 27)
        return net
    x = net.conv("score4", x, classes, 4, bias=False, **learned)
    skip = net.conv("score-pool3", "pool3", classes, 1, relu=False)
    skip = net.crop("score-pool3c", skip, x, 9)
    x = net.add("Eltwise", "score-final", x, skip, eltwise_param="operation: SUM")
    net.crop("score", net.upscore("upsample", x, 16, 8), "data", 31)
    return net


def unet(definition: str, *, classes: int, channels: int, filters: int, depth: int) -> Net:
    """Without dropout, which is for training; `depth` 4 and 64 `filters` are the authors'."""
    net, x = _net(channels), "data"
    for level in range(depth + 1):
        x = net.conv(f"conv_d{level}a-b", x, filters << level, 3)
        x = net.conv(f"conv_d{level}b-c", x, filters << level, 3)
        if level < depth:
            x = net.pool(f"pool_d{level}c-{level + 1}a", x, 2)
    below, release, lost = f"d{depth}c", definition == "release", 8
    for level in reversed(range(depth)):
        outputs = filters << max(level, int(release))
        name = f"upconv_{below}_u{level}a"
        x = net.conv(name, x, outputs, 2, stride=2, deconv=True, relu=release)
        # Centred: half of what a side has lost below. One level up: two more convolutions on the
        # way down and two on the way up, of 2 pixels each, all doubled.
        skip = net.crop(f"crop_d{level}c-d{level}cc", f"conv_d{level}b-c_relu", x, lost // 2)
        halves = (x, skip) if release else (skip, x)
        x = net.concat(f"concat_d{level}cc_u{level}a-b", *halves)
        x = net.conv(f"conv_u{level}b-c", x, filters << level, 3)
        x = net.conv(f"conv_u{level}c-d", x, filters << level, 3)
        below, lost = f"u{level}d", 2 * (lost + 8)
    net.conv("conv_u0d-score", x, classes, 1, relu=False)
    return net


def deconvnet(*, classes: int, stages: tuple[int, ...], fc_filters: int) -> Net:
    """Its own layers UNPOOLING and BN in the words of the engine: MaxUnpool and Scale."""
    net, x = _net(), "data"
    for stage, count in enumerate(CONVOLUTIONS["vgg16"], 1):
        for index in range(1, count + 1):
            x = net.conv(f"conv{stage}_{index}", x, stages[stage - 1], 3, pad=1, relu=False)
            x = net.bn_relu(f"bn{stage}_{index}", x)
        x = net.pool_with_mask(f"pool{stage}", x)
    x = net.bn_relu("bnfc6", net.conv("fc6", x, fc_filters, 7, relu=False))
    x = net.bn_relu("bnfc7", net.conv("fc7", x, fc_filters, 1, relu=False))
    x = net.conv("fc6-deconv", x, stages[4], 7, deconv=True, relu=False)
    x = net.bn_relu("fc6-deconv-bn", x)
    for stage in (5, 4, 3, 2, 1):
        x = net.unpool(f"unpool{stage}", x, f"pool{stage}")
        for index in range(1, CONVOLUTIONS["vgg16"][stage - 1] + 1):
            last = index == CONVOLUTIONS["vgg16"][stage - 1]
            outputs = stages[max(stage - 2, 0)] if last else stages[stage - 1]
            name = f"deconv{stage}_{index}"
            x = net.conv(name, x, outputs, 3, pad=1, deconv=True, relu=False)
            x = net.bn_relu(f"debn{stage}_{index}", x)
    net.conv("seg-score-voc", x, classes, 1, relu=False)
    return net


def segnet(*, classes: int, filters: int) -> Net:
    """Its layers Upsample and BN in the words of the engine, which doubles each size."""
    net, x = _net(), "data"
    widths = [filters * times for times in (1, 2, 4, 8, 8)]

    def normalized(name: str, x: str, outputs: int) -> str:
        x = net.conv(name, x, outputs, 3, pad=1, relu=False)
        return net.bn_relu(f"{name}_bn", x)

    for stage, count in enumerate(CONVOLUTIONS["vgg16"], 1):
        for index in range(1, count + 1):
            x = normalized(f"conv{stage}_{index}", x, widths[stage - 1])
        x = net.pool_with_mask(f"pool{stage}", x)
    for stage in (5, 4, 3, 2, 1):
        x = net.unpool(f"upsample{stage}", x, f"pool{stage}")
        for index in range(CONVOLUTIONS["vgg16"][stage - 1], 1, -1):
            x = normalized(f"conv{stage}_{index}_D", x, widths[stage - 1])
        if stage > 1:
            x = normalized(f"conv{stage}_1_D", x, widths[stage - 2])
    net.conv("conv1_1_D", x, classes, 3, pad=1, relu=False)
    return net


def segnet_basic(*, classes: int, filters: int) -> Net:
    """With the name that the last layer has where weights were published."""
    net = _net()
    lrn = "local_size: 5 alpha: 0.0001 beta: 0.75"
    x = net.add("LRN", "norm", "data", lrn_param=lrn)
    for stage in (1, 2, 3, 4):
        x = net.conv(f"conv{stage}", x, filters, 7, pad=3, relu=False)
        x = net.pool_with_mask(f"pool{stage}", net.bn_relu(f"conv{stage}_bn", x))
    for stage in (4, 3, 2, 1):
        name = f"conv_decode{stage}"
        x = net.unpool(f"upsample{stage}", x, f"pool{stage}")
        x = net.conv(name, x, filters, 7, pad=3, relu=False)
        x = net.bn_relu(f"{name}_bn", x, relu=False)
    net.conv("dense_softmax_inner_prod", x, classes, 1, relu=False)
    return net
