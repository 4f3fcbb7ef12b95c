"""Records what the unpooling layers of tensorflow-addons answer, for the tests of ours.

tensorflow-addons ended in 2024 and needs TensorFlow 2.15 and Python 3.11 or older, so it lives in
an environment of its own. From the root of the repository:

    python3.11 -m venv /tmp/addons
    /tmp/addons/bin/pip install -r tests/parity/tensorflow_addons/requirements.txt
    /tmp/addons/bin/python tests/parity/tensorflow_addons/record.py

This writes `golden.npz` beside the script and prints what it found.
`tests/zoo/layers/test_addons.py` holds our layers against the file, so that nobody needs the
environment to run the tests.

For each size the file has the image (whole numbers, most windows with ties), its pooled values and
flat indices, what `MaxUnpooling2D` and `MaxUnpooling2DV2` restore from them, and the gradient
that V2 gives the image when pixel i of the restored image counts i times. `findings` is the
printed text.
"""

import os
import pathlib

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

SIZES = [(1, 1), (2, 2), (4, 6), (5, 6), (6, 5), (7, 9)]
GOLDEN = pathlib.Path(__file__).with_name("golden.npz")


def definition(pooled: np.ndarray, indices: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Each pooled value at its flat index within its image, zeros elsewhere."""
    restored = np.zeros(shape, pooled.dtype)
    for image, values, places in zip(restored, pooled, indices, strict=True):
        image.reshape(-1)[places.ravel()] = values.ravel()
    return restored


def compare(size: tuple[int, int], arrays: dict[str, np.ndarray]) -> str:
    """Adds the arrays of one size and returns what there is to say about it."""
    name, shape = "{}x{}".format(*size), (2, *size, 3)
    image = tf.constant(np.random.default_rng(0).integers(1, 4, shape).astype("float32"))
    weights = tf.reshape(tf.range(tf.size(image, tf.float32)), shape)
    with tf.GradientTape() as tape:
        tape.watch(image)
        pooled, indices = tf.nn.max_pool_with_argmax(image, 2, 2, "SAME")
        restored = tfa.layers.MaxUnpooling2DV2(shape)(pooled, indices)
        loss = tf.reduce_sum(restored * weights)
    gradient, second = tape.gradient(loss, image), restored.numpy()
    first = tfa.layers.MaxUnpooling2D()(pooled, indices).numpy()
    expected = definition(pooled.numpy(), indices.numpy(), shape)
    for key, value in {
        "image": image,
        "pooled": pooled,
        "indices": indices,
        "first": first,
        "second": second,
        "gradient": gradient,
    }.items():
        arrays[f"{name}_{key}"] = np.asarray(value)

    wrong = int((first[:, : size[0], : size[1]] != expected).sum())
    return (
        f"{name}: MaxUnpooling2D restores {first.shape[1]}x{first.shape[2]} without an error, "
        f"{wrong} of {expected.size} values wrong; MaxUnpooling2DV2 restores {name}, "
        f"{int((second != expected).sum())} values wrong."
    )


def unknown_batch() -> str:
    """What V2 says to the batch of unknown size that every Keras model has."""
    try:
        tfa.layers.MaxUnpooling2DV2((None, 4, 6, 3))
    except (TypeError, ValueError) as error:
        return f"unknown batch: MaxUnpooling2DV2 raises {type(error).__name__}: {error}"
    return "unknown batch: MaxUnpooling2DV2 takes it."


if __name__ == "__main__":
    arrays: dict[str, np.ndarray] = {}
    findings = [f"tensorflow-addons {tfa.__version__}, TensorFlow {tf.__version__}"]
    findings += [compare(size, arrays) for size in SIZES]
    findings.append(unknown_batch())
    unfinished = GOLDEN.with_name("golden.unfinished.npz")
    np.savez_compressed(unfinished, findings=np.array(findings), **arrays)
    os.replace(unfinished, GOLDEN)
    print(*findings, f"Wrote {GOLDEN} ({GOLDEN.stat().st_size} bytes).", sep="\n")
