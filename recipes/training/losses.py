"""The losses of a recipe, as sums over weighted pixels or over images.

All replicas divide their sums by the same number, that of the whole batch. So the sum of their
gradients is the gradient of the whole batch, even if their images have different amounts of void.
"""

import keras
import tensorflow as tf

from recipes.data import IGNORE_LABEL
from recipes.training.recipe import Recipe


def pixel_weights(recipe: Recipe, labels: tf.Tensor, weight_map: tf.Tensor | None) -> tf.Tensor:
    """The weight of each pixel, float32 `[n, h, w]`: 0 for void, else 1.

    It is multiplied by the class weights, which are numbers here, and by U-Net's weight map.
    """
    valid = labels != IGNORE_LABEL
    weights = tf.cast(valid, tf.float32)
    if recipe.class_weights:
        table = tf.constant(recipe.class_weights, tf.float32)
        weights *= tf.gather(table, tf.where(valid, tf.cast(labels, tf.int32), 0))
    return weights if weight_map is None else weights * weight_map


def divisor(recipe: Recipe, total: tf.Tensor) -> tf.Tensor:
    """The number that the sum over a batch is divided by.

    "mean" divides by `total`, the sum of the weights of the pixels of all replicas, so that doubled
    weights give the same loss. "sum" divides by the number of images, as Caffe's `normalize: false`
    does, and so does Dice, which is a mean over images.
    """
    if recipe.reduction == "sum" or recipe.loss == "dice":
        return tf.constant(recipe.batch_size, tf.float32)
    return tf.where(total > 0, total, 1.0)


def summed_loss(
    recipe: Recipe, labels: tf.Tensor, scores: tf.Tensor, weights: tf.Tensor
) -> tf.Tensor:
    """The sum of the losses of a replica, float32.

    Args:
        recipe: Names the loss. Focal: Lin et al., ICCV 2017, gamma 2, with the class weights in
            place of its alpha. Dice: the mean over the classes that occur in an image; for the
            others Keras's loss is constant.
        labels: uint8 `[n, h, w]`.
        scores: float32 `[n, h, w, classes]`.
        weights: The result of `pixel_weights`, float32 `[n, h, w]`.
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
