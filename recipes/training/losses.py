"""The losses of a recipe: a sum over weighted pixels, or over images, that replicas can share.

A replica divides its part by a divisor of all replicas, not by its own, so that the sum of their
gradients is the gradient of one large batch, however void is distributed.
"""

import keras
import tensorflow as tf

from recipes.data.dataset import IGNORE_LABEL
from recipes.training.recipe import Recipe


def pixel_weights(recipe: Recipe, labels: tf.Tensor, weight_map: tf.Tensor | None) -> tf.Tensor:
    """What each pixel weighs, float32 `[n, h, w]`: 0 where there is no label, else 1.

    Class weights and U-Net's weight map multiply it.
    """
    valid = labels != IGNORE_LABEL
    weights = tf.cast(valid, tf.float32)
    if recipe.class_weights:
        table = tf.constant(recipe.class_weights, tf.float32)
        weights *= tf.gather(table, tf.where(valid, tf.cast(labels, tf.int32), 0))
    return weights if weight_map is None else weights * weight_map


def divisor(recipe: Recipe, total: tf.Tensor) -> tf.Tensor:
    """What the sum over a batch is divided by; `total` is the weight of its pixels, all replicas'.

    The mean is over the weights, so that twice the weights are the same loss. The sum is that of
    Caffe's `normalize: false`: over the pixels, for each image. Dice is a mean over the images.
    """
    if recipe.reduction == "sum" or recipe.loss == "dice":
        return tf.constant(recipe.batch_size, tf.float32)
    return tf.where(total > 0, total, 1.0)


def summed_loss(
    recipe: Recipe, labels: tf.Tensor, scores: tf.Tensor, weights: tf.Tensor
) -> tf.Tensor:
    """The sum of a replica's losses, float32.

    Args:
        recipe: Says which loss. Focal: Lin et al., ICCV 2017, gamma 2, without its balance of
            classes, which is the class weights'. Dice: the mean over the classes that an image has;
            of others Keras's is constant.
        labels: uint8 `[n, h, w]`.
        scores: float32 `[n, h, w, classes]`.
        weights: What `pixel_weights` gave.
    """
    truth = tf.where(labels != IGNORE_LABEL, tf.cast(labels, tf.int32), 0)
    if recipe.loss == "softmax":
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=truth, logits=scores)
        return tf.reduce_sum(weights * losses)
    one_hot = tf.one_hot(truth, scores.shape[-1])
    if recipe.loss == "focal":
        losses = keras.losses.categorical_focal_crossentropy(
            one_hot, scores, alpha=1.0, gamma=2.0, from_logits=True
        )
        return tf.reduce_sum(weights * losses)
    labelled = weights[..., tf.newaxis]
    losses = keras.losses.dice(one_hot * labelled, tf.nn.softmax(scores) * labelled, axis=(1, 2))
    occurs = tf.cast(tf.reduce_any(one_hot * labelled > 0, axis=(1, 2)), tf.float32)
    return tf.reduce_sum(losses * occurs / tf.maximum(tf.reduce_sum(occurs, -1, keepdims=True), 1))
