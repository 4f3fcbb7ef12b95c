"""The weights files that the authors published: contents, address, licence, scores and hash.

`zoo weights` prints this table; `zoo fetch` downloads a file on request. The addresses come from
the authors' repositories; nobody tried whether they still work, or opened the files. Scores and
hashes are quoted from their sources, not measured here.

Sources: the README and `caffemodel-url` files of github.com/shelhamer/fcn.berkeleyvision.org, and
its authors' gists for the files of 2015; the README and `model/get_model.sh` of
github.com/HyeonwooNoh/DeconvNet; `Example_Models/segnet_model_zoo.md` and the definitions beside it
in github.com/alexgkendall/SegNet-Tutorial (bb68b64); `models/bvlc_reference_caffenet` and
`models/bvlc_googlenet` of github.com/BVLC/caffe; Simonyan's gists 211839e770f7b538e2d8 and
3785162f95cd2d5fee77 for VGG.
"""

import dataclasses
from typing import Any

from zoo import registry
from zoo.class_names import BACKGROUND, CLASS_NAMES
from zoo.spec import Labels, Spec, of_options


@dataclasses.dataclass(frozen=True)
class Score:
    """The scores that a source reports on some images, in percent, by the score's name."""

    on: str
    percent: dict[str, float]
    source: str


@dataclasses.dataclass(frozen=True)
class Hash:
    """The digest of a file as a source gives it, with the algorithm."""

    algorithm: str
    digest: str
    source: str


@dataclasses.dataclass(frozen=True)
class Record:
    """One published file.

    `model`, built with `options`, loads the whole file as `weights=`; it is None if the zoo has no
    such net. The models in `encoder_of` load its trunk as `encoder_weights=`. `classes` is the
    number of classes of `data`; their names are in `zoo.class_names.CLASS_NAMES[data]`, except for
    those of `UNNAMED`. `other_data` names the classes of the heads after the first in the same way.
    `member` is the weights file in an archive.
    """

    file: str
    model: str | None
    data: str
    classes: int
    address: str
    licence: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    encoder_of: tuple[str, ...] = ()
    other_data: dict[str, str] = dataclasses.field(default_factory=dict)
    member: str | None = None
    scores: tuple[Score, ...] = ()
    hash: Hash | None = None
    notes: str = ""

    @property
    def weights(self) -> str:
        """The name of the file that the zoo reads: the archive's member, or the file itself."""
        return self.member or self.file

    @property
    def takers(self) -> tuple[str, ...]:
        """The models that load the file or its trunk."""
        return (self.model, *self.encoder_of) if self.model else self.encoder_of


def records(name: str | None = None) -> tuple[Record, ...]:
    """The records of all files, of the files for a model, or of the file with this name."""
    return tuple(x for x in RECORDS if name is None or name in (x.file, *x.takers))


def by_weights(name: str) -> Record | None:
    """The record whose weights file has this name; None if there is none."""
    return next((record for record in RECORDS if record.weights == name), None)


def spec_of(record: Record) -> Spec | None:
    """The Spec of a published file; None if the zoo has no such net."""
    if record.model is None:
        return None
    card = registry.describe(record.model)
    others = {head: Labels(*_labels(data)) for head, data in record.other_data.items()}
    names, background = _labels(record.data)
    return of_options(
        record.model,
        card.options | record.options,
        heads=card.heads,
        class_names=names,
        background=background,
        other_heads=others,
    )


def _labels(data: str) -> tuple[tuple[str, ...] | None, int | None]:
    """The class names and the background of a data set, as far as they are known."""
    return CLASS_NAMES.get(data), BACKGROUND.get(data)


CLASSES = {"voc": 21, "pascal_context": 60, "nyudv2": 40, "sift_flow": 33, "imagenet": 1000}
CLASSES |= {"camvid": 11, "driving": 12, "sun_rgbd": 38}
UNNAMED = ("phc_u373", "driving", "sun_rgbd")  # whose classes the authors do not name in order
FOUR = ("pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou")
VGG = (
    *("fcn32s", "fcn16s", "fcn8s", "fcn8s_atonce", "fcn32s_two_heads", "fcn16s_two_heads"),
    *("fcn8s_two_heads", "fcn32s_early_fusion", "fcn32s_late_fusion"),
)
BERKELEY = "http://dl.caffe.berkeleyvision.org/"
POSTECH = "http://cvlab.postech.ac.kr/research/deconvnet/model/"
OXFORD = "http://www.robots.ox.ac.uk/~vgg/software/very_deep/caffe/"
CAMBRIDGE = "http://mi.eng.cam.ac.uk/~agk34/resources/SegNet/"
FREIBURG = "https://lmb.informatik.uni-freiburg.de/people/ronneber/u-net/"
OPENCV = "testdata/dnn/download_models.py of OpenCV"


def _four(on: str, source: str, *percent: float) -> Score:
    return Score(on, dict(zip(FOUR, percent, strict=True)), source)


def _mean_iou(on: str, source: str, percent: float) -> Score:
    return Score(on, {"mean_iou": percent}, source)


def _fcn(file: str, model: str | None, data: str, **known: Any) -> Record:
    """A file of the FCN authors."""
    others = {} if model is None or data == "voc" else {"classes": CLASSES[data]}
    known = {"licence": "unrestricted use (BVLC model licence)"} | known
    options = others | known.pop("options", {})
    return Record(file, model, data, CLASSES[data], BERKELEY + file, options=options, **known)


def _voc(file: str, model: str, percent: float, *four: float, sha1: str | None = None) -> Record:
    scores = [_mean_iou("seg11valid", "README", percent)]
    if file.startswith("fcn8s-heavy"):
        scores.append(_mean_iou("VOC2012 test", "README", 67.2))
    if four:
        scores.append(_four("seg11valid", "wkentaro/fcn, of the converted file", *four))
    known = None if sha1 is None else Hash("sha1", sha1, OPENCV)
    return _fcn(file, model, "voc", scores=tuple(scores), hash=known)


def _voc_2015(file: str, model: str, *four: float, **known: Any) -> Record:
    """A file of 2015, when the up-samplings between the skips were learned."""
    known["options"] = {} if model == "fcn32s" else {"upsampling": "learned"}
    known["scores"] = (_four("seg11valid", "CVPR 2015, Table 2", *four), *known.pop("scores", ()))
    return _fcn(file, model, "voc", licence="not stated", **known)


def _sift_flow(file: str, model: str) -> Record:
    return _fcn(
        *(file, model, "sift_flow"),
        options={"mean": [108.353, 115.294, 114.578]},
        other_data={"geometric": "sift_flow_geometric"},
        notes="One trunk with two heads, for the 33 semantic and the 3 geometric classes. "
        'zoo.load(…, head="semantic") has the one alone.',
    )


def _deconvnet(path: str, model: str | None, data: str, **known: Any) -> Record:
    licence = (
        "research use only, by individuals; commercial use and redistribution need a licence from "
        "POSTECH: do not pass the file on, converted or not"
    )
    file = path.partition("/")[2]
    return Record(file, model, data, CLASSES[data], POSTECH + path, licence, **known)


def _segnet(file: str, model: str | None, data: str, **known: Any) -> Record:
    licence = "CC BY-NC 4.0 (commercial use needs another licence of the authors)"
    options = {"classes": CLASSES[data]} | known.pop("options", {})
    known["options"] = options if model else {}
    return Record(file, model, data, CLASSES[data], CAMBRIDGE + file, licence, **known)


RECORDS = (
    _voc("fcn-alexnet-pascal.caffemodel", "fcn_alexnet", 48.0),
    _voc(
        *("fcn32s-heavy-pascal.caffemodel", "fcn32s", 63.6, 90.4810, 76.4824, 63.6261, 83.4580),
        sha1="05eb922d7829c39448f57e5ab9d8cd75d6c0be6d",
    ),
    _voc("fcn16s-heavy-pascal.caffemodel", "fcn16s", 65.0, 90.9971, 78.0710, 65.0050, 84.2614),
    _voc(
        *("fcn8s-heavy-pascal.caffemodel", "fcn8s", 65.5, 91.2212, 77.6146, 65.5126, 84.5445),
        sha1="c449ea74dd7d83751d1357d6a8c323fcf4038962",
    ),
    _voc(
        *("fcn8s-atonce-pascal.caffemodel", "fcn8s_atonce", 65.4),
        *(91.1288, 78.4979, 65.3998, 84.4326),
    ),
    _fcn("pascalcontext-fcn32s-heavy.caffemodel", "fcn32s", "pascal_context"),
    _fcn("pascalcontext-fcn16s-heavy.caffemodel", "fcn16s", "pascal_context"),
    _fcn("pascalcontext-fcn8s-heavy.caffemodel", "fcn8s", "pascal_context"),
    _fcn(
        *("nyud-fcn32s-color-heavy.caffemodel", "fcn32s", "nyudv2"),
        options={"mean": [92.318, 97.203, 116.190]},
    ),
    _fcn(
        *("nyud-fcn32s-hha-heavy.caffemodel", "fcn32s", "nyudv2"),
        options={"mean": [132.431, 94.076, 118.477], "channel_order": [0, 1, 2]},
        notes="For depth as HHA images (Gupta et al., rcnn-depth), their channels as stored.",
    ),
    _fcn(
        *("nyud-fcn32s-color-hha-heavy.caffemodel", "fcn32s_late_fusion", "nyudv2"),
        options={"mean": [92.318, 97.203, 116.190], "hha_mean": [132.431, 94.076, 118.477]},
        notes="Late fusion: two trunks, for colour and for HHA, and the mean of their scores. The "
        "authors began it with snapshots of the two nets above, which were not published: "
        'encoder_weights={"color": …, "hha": …}. The weights of the early fusion (colour and '
        "depth) were never published.",
    ),
    _sift_flow("siftflow-fcn32s-heavy.caffemodel", "fcn32s_two_heads"),
    _sift_flow("siftflow-fcn16s-heavy.caffemodel", "fcn16s_two_heads"),
    _sift_flow("siftflow-fcn8s-heavy.caffemodel", "fcn8s_two_heads"),
    _voc_2015(
        *("fcn-32s-pascal.caffemodel", "fcn32s", 89.1, 73.3, 59.4, 81.4),
        scores=(_mean_iou("VOC2011 val (meets SBD train)", "gist", 64.0),),
        hash=Hash("sha1", "9ef2dbc22768bd562ba5eec2ad6cae3f499141d0", "gist ac410cad48a088710872"),
    ),
    _voc_2015("fcn-16s-pascal.caffemodel", "fcn16s", 90.0, 75.7, 62.4, 83.0),
    _voc_2015(
        *("fcn-8s-pascal.caffemodel", "fcn8s", 90.3, 75.9, 62.7, 83.2),
        notes="DeconvNet's authors combine their net with this FCN-8s.",
    ),
    _deconvnet(
        *("DeconvNet/DeconvNet_trainval_inference.caffemodel", "deconvnet", "voc"),
        scores=(_mean_iou("VOC2012 test", "ICCV 2015", 69.6),),
        notes="72.5 when combined with FCN-8s and a conditional random field (README).",
    ),
    _deconvnet(
        *("stage_2_train_result/stage_2_train_result.caffemodel", "deconvnet", "voc"),
        notes="The trained net without the averages of its normalizations. Continue training from "
        "it; do not predict with it.",
    ),
    _deconvnet(
        *("stage_1_train_result/stage_1_train_result.caffemodel", "deconvnet", "voc"),
        notes="The same after the first of two training stages: do not predict with it.",
    ),
    _deconvnet(
        *("VGG_conv/VGG_ILSVRC_16_layers_conv.caffemodel", None, "imagenet"),
        encoder_of=(*VGG, "deconvnet", "segnet", "unet_vgg16"),
        notes="Oxford's VGG-16, below, with its fully connected layers as convolutions.",
    ),
    _segnet(
        *("segnet_basic_camvid.caffemodel", "segnet", "camvid"),
        options={"definition": "basic"},
        notes="For images of 360 × 480.",
    ),
    _segnet(
        *("bayesian_segnet_basic_camvid.caffemodel", "segnet", "camvid"),
        options={"definition": "basic"},
        notes="Trained with dropout between its stages, which Bayesian SegNet also samples when it "
        "answers. The zoo leaves it out, as the authors do to test it as a SegNet.",
    ),
    _segnet(
        *("bayesian_segnet_camvid.caffemodel", None, "camvid"),
        notes="It has one more convolution, `camvid`, after `conv1_1_D`. The zoo has no such net.",
    ),
    _segnet(
        *("segnet_weights_driving_webdemo.caffemodel", "segnet", "driving"),
        notes="Road scenes of the authors' demonstration: CamVid's classes and road markings.",
    ),
    _segnet(
        *("segnet_sun.caffemodel", "segnet", "sun_rgbd"),
        notes="Indoor scenes; trained with dropout, which is for training alone.",
    ),
    _segnet(
        *("segnet_sun_low_resolution.caffemodel", "segnet", "sun_rgbd"),
        notes="The same for images of 224 × 224.",
    ),
    _segnet(
        *("segnet_pascal.caffemodel", "segnet", "voc"),
        notes="For images of 224 × 224; trained with dropout, which is for training alone.",
    ),
    Record(
        *("VGG_ILSVRC_16_layers.caffemodel", "vgg16_heatmap", "imagenet", CLASSES["imagenet"]),
        *(OXFORD + "VGG_ILSVRC_16_layers.caffemodel", "CC BY 4.0"),
        encoder_of=(*VGG, "deconvnet", "segnet", "unet_vgg16"),
        scores=(Score("ILSVRC-2012 val, dense, multi-scale", {"top_5_accuracy": 92.5}, "gist"),),
        hash=Hash("sha1", "9363e1f6d65f7dba68c4f27a1e62105cdf6c4e24", OPENCV),
        notes='encoder_weights="imagenet" takes VGG-16 from Keras, fetched and checked by Keras.',
    ),
    Record(
        *("VGG_ILSVRC_19_layers.caffemodel", "vgg19_heatmap", "imagenet", CLASSES["imagenet"]),
        *(OXFORD + "VGG_ILSVRC_19_layers.caffemodel", "CC BY 4.0"),
        notes='weights="imagenet" takes VGG-19 from Keras, fetched and checked by Keras.',
    ),
    Record(
        *("bvlc_reference_caffenet.caffemodel", "caffenet_heatmap"),
        *("imagenet", CLASSES["imagenet"]),
        BERKELEY + "bvlc_reference_caffenet.caffemodel",
        "unrestricted use (BVLC model licence)",
        encoder_of=("fcn_alexnet",),
        scores=(
            Score("ILSVRC-2012 val", {"top_1_accuracy": 57.4, "top_5_accuracy": 80.4}, "BVLC"),
        ),
        hash=Hash("sha1", "4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46", "BVLC"),
        notes="It pools before it normalizes, as FCN-AlexNet does. bvlc_alexnet.caffemodel has the "
        "same shapes but normalizes first: it would load and be wrong.",
    ),
    Record(
        *("bvlc_googlenet.caffemodel", None, "imagenet", CLASSES["imagenet"]),
        *(BERKELEY + "bvlc_googlenet.caffemodel", "unrestricted use (BVLC model licence)"),
        encoder_of=("fcn_googlenet",),
        scores=(
            Score("ILSVRC-2012 val", {"top_1_accuracy": 68.7, "top_5_accuracy": 88.9}, "BVLC"),
        ),
        hash=Hash("sha1", "405fc5acd08a3bb12de8ee5e23a96bec22f08204", "BVLC"),
        notes="BVLC's own training of GoogLeNet. Its two auxiliary classifiers are left out. The "
        "weights of FCN-GoogLeNet itself were never published.",
    ),
    Record(
        *("u-net-release-2015-10-02.tar.gz", "unet", "phc_u373", 2),
        *(FREIBURG + "u-net-release-2015-10-02.tar.gz", "not stated"),
        options={"definition": "release", "channels": 1, "classes": 2},
        member="phseg_v5.caffemodel",
        scores=(_mean_iou("ISBI 2015 cell tracking, PhC-U373", "MICCAI 2015", 92.03),),
        hash=Hash(
            *("sha256", "260c51948e9e0f3fe1f1282dbedaf2ca69bea38b8392ef8df6d751e58b234740"),
            "a third party's list, unverified",
        ),
        notes="For grey phase-contrast images. The authors average a tile's four flips.",
    ),
)
