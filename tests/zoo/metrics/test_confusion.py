"""The scores against hand-computed numbers, in NumPy, in Keras and over two replicas."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import metrics

# 20 pixels of three classes; the fourth class is neither in the truth nor predicted.
TRUTH = np.repeat([0, 0, 1, 1, 2, 255], [8, 2, 5, 1, 4, 3]).reshape(1, 1, 23)
CLASS_MAP = np.repeat([0, 1, 1, 0, 2, 2], [8, 2, 5, 1, 4, 3]).reshape(1, 1, 23)
MATRIX = np.array([[8, 2, 0, 0], [1, 5, 0, 0], [0, 0, 4, 0], [0, 0, 0, 0]])
SCORES = {
    "pixel_accuracy": 17 / 20,
    "mean_accuracy": (8 / 10 + 5 / 6 + 4 / 4) / 3,
    "mean_iou": (8 / 11 + 5 / 8 + 4 / 4) / 3,
    "frequency_weighted_iou": (10 * 8 / 11 + 6 * 5 / 8 + 4 * 4 / 4) / 20,
}


def one_hot_scores(class_map, classes=4):
    return np.eye(classes, dtype="float32")[class_map]


def test_matrix_has_truth_in_rows_and_drops_255():
    matrix = metrics.confusion_matrix(TRUTH, CLASS_MAP, classes=4)
    assert matrix.dtype == np.int64
    np.testing.assert_array_equal(matrix, MATRIX)


def test_scores_are_those_of_the_paper():
    result = metrics.scores(MATRIX)
    for name, expected in SCORES.items():
        assert result[name] == pytest.approx(expected, rel=1e-15)
    np.testing.assert_allclose(result["iou_per_class"], [8 / 11, 5 / 8, 1, np.nan])


def test_precision_recall_and_dice_are_those_of_each_class():
    matrix = MATRIX.copy()
    matrix[3, 0] = 4  # in the truth, and never found
    result = metrics.scores(matrix)
    np.testing.assert_allclose(result["precision_per_class"], [8 / 13, 5 / 7, 1, np.nan])
    np.testing.assert_allclose(result["recall_per_class"], [8 / 10, 5 / 6, 1, 0])
    precision, recall = result["precision_per_class"][:3], result["recall_per_class"][:3]
    harmonic = 2 / (1 / precision + 1 / recall)
    np.testing.assert_allclose(result["dice_per_class"], [*harmonic, 0])


def test_a_class_predicted_but_absent_from_the_truth_has_an_iou_of_zero():
    matrix = np.array([[6, 2], [0, 0]])
    result = metrics.scores(matrix)
    np.testing.assert_array_equal(result["iou_per_class"], [6 / 8, 0])
    assert result["mean_iou"] == 6 / 16
    assert result["mean_accuracy"] == 6 / 8  # nothing to find, nothing missed: left out
    metric = metrics.ConfusionMatrix(2)
    metric.update_state(np.zeros((1, 1, 8)), one_hot_scores([[[0] * 6 + [1] * 2]], 2))
    np.testing.assert_array_equal(metric.matrix, matrix)
    assert {name: float(value) for name, value in metric.result().items()} == {
        name: result[name] for name in SCORES
    }


def test_no_counted_pixel_gives_nan():
    result = metrics.scores(np.zeros((3, 3), int))
    assert all(np.isnan(value).all() for value in result.values())
    metric = metrics.ConfusionMatrix(3)
    metric.update_state(np.full((1, 2, 2), 255), one_hot_scores(np.zeros((1, 2, 2), int), 3))
    assert all(np.isnan(value) for value in metric.result().values())


@pytest.mark.parametrize("trailing_axis", [False, True])
def test_metric_gives_the_same_scores(trailing_axis):
    metric = metrics.ConfusionMatrix(4)
    truth = TRUTH[..., None] if trailing_axis else TRUTH
    # In two updates, to see that they add up.
    metric.update_state(truth[:, :, :7].astype("uint8"), one_hot_scores(CLASS_MAP[:, :, :7]))
    metric.update_state(truth[:, :, 7:].astype("uint8"), one_hot_scores(CLASS_MAP[:, :, 7:]))
    np.testing.assert_array_equal(metric.matrix, MATRIX)
    result = metric.result()
    assert list(result) == list(SCORES)
    for name, expected in SCORES.items():
        assert float(result[name]) == pytest.approx(expected, rel=1e-6)
    metric.reset_state()
    assert metric.matrix.sum() == 0


@pytest.mark.parametrize("seen", [2**24 + 1, 2**31 + 1, 2**53 + 1])
def test_not_one_pixel_is_lost_to_rounding(seen):
    metric = metrics.ConfusionMatrix(2)
    counts = np.array([seen, 0, 0, seen, 0, 0, 0])
    metric.counts.assign(counts)
    metric.update_state(np.array([[[0, 1]]]), one_hot_scores(np.array([[[0, 0]]]), 2))
    np.testing.assert_array_equal(metric.matrix, [[seen + 1, 0], [1, seen]])
    # The truth of class 1 is one pixel larger than its hits: a float32 sum would not see it.
    assert int(metric.matrix.sum()) == 2 * seen + 2


def test_fit_prints_the_scores_and_saves_the_metric(tmp_path, capsys):
    model = keras.Sequential([keras.Input((None, None, 4)), keras.layers.Rescaling(1.0)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    model.compile("sgd", loss, metrics=[metrics.ConfusionMatrix(4)])
    labels, images = TRUTH.astype("int32"), one_hot_scores(CLASS_MAP)
    logs = model.evaluate(images, labels, return_dict=True)
    assert "mean_iou: 0.78" in capsys.readouterr().out
    for name, expected in SCORES.items():
        assert logs[name] == pytest.approx(expected, rel=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.evaluate(images, labels, return_dict=True, verbose=0) == logs


def test_two_replicas_count_each_pixel_once(mirrored):
    with mirrored.scope():
        metric = metrics.ConfusionMatrix(4)
    # 23 pixels do not divide by two: replica 0 takes 7 of them, replica 1 the others.
    parts = [slice(0, 7), slice(7, 23)]

    def values(part):
        return tf.constant(TRUTH[:, :, part]), tf.constant(one_hot_scores(CLASS_MAP[:, :, part]))

    per_replica = mirrored.experimental_distribute_values_from_function(
        lambda context: values(parts[context.replica_id_in_sync_group])
    )

    @tf.function
    def update():
        mirrored.run(lambda pair: metric.update_state(*pair), args=(per_replica,))

    update()
    np.testing.assert_array_equal(metric.matrix, MATRIX)
    assert float(metric.result()["mean_iou"]) == pytest.approx(SCORES["mean_iou"], rel=1e-6)
    with pytest.raises(RuntimeError, match=r"Call update_state in a function that strategy.run"):
        metric.update_state(TRUTH, one_hot_scores(CLASS_MAP))


def test_evaluate_over_two_replicas_counts_each_pixel_once(mirrored):
    with mirrored.scope():
        metric = metrics.ConfusionMatrix(4)
        model = keras.Sequential([keras.Input((None, None, 4)), keras.layers.Rescaling(1.0)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
        model.compile(loss=loss, metrics=[metric])
    # 23 images of one pixel in batches of 4: the last batch has 3, one replica gets 1 of them.
    images, labels = one_hot_scores(CLASS_MAP).reshape(23, 1, 1, 4), TRUTH.reshape(23, 1, 1)
    model.evaluate(images, labels, batch_size=4, verbose=0)
    np.testing.assert_array_equal(metric.matrix, MATRIX)


def test_labels_outside_the_classes_are_an_error():
    truth, class_map = np.array([[[0, 7, 9, 255]]]), np.zeros((1, 1, 4), int)
    message = "a class from 0 to 1, or 255, which is not counted; received the labels 7, 9"
    with pytest.raises(ValueError, match=message):
        metrics.confusion_matrix(truth, class_map, classes=2)
    metric = metrics.ConfusionMatrix(2)
    metric.update_state(truth, one_hot_scores(class_map, 2))
    for read in (metric.result, lambda: metric.matrix):
        with pytest.raises(ValueError, match=r"received 2 pixels with another label. Give these"):
            read()
    traced = tf.function(metric.result)()
    assert all(np.isnan(value) for value in traced.values())


def test_predictions_outside_the_classes_are_an_error():
    with pytest.raises(ValueError, match="received the predictions 2"):
        metrics.confusion_matrix(np.array([0, 1]), np.array([0, 2]), classes=2)


def test_the_ignored_label_is_chosen():
    truth, class_map = np.array([[[0, 1, 2]]]), np.array([[[0, 1, 1]]])
    np.testing.assert_array_equal(
        metrics.confusion_matrix(truth, class_map, classes=2, ignore_label=2), np.eye(2)
    )
    # A class may be the ignored one: then it is neither counted nor an error.
    metric = metrics.ConfusionMatrix(3, ignore_label=0)
    metric.update_state(truth, one_hot_scores(class_map, 3))
    np.testing.assert_array_equal(metric.matrix, [[0, 0, 0], [0, 1, 0], [0, 1, 0]])
    with pytest.raises(ValueError, match=r"from 0 to 1; received the labels 2. Give"):
        metrics.confusion_matrix(truth, class_map, classes=2, ignore_label=None)


def test_wrong_shapes_and_weights_are_errors():
    metric = metrics.ConfusionMatrix(3)
    with pytest.raises(ValueError, match=r"must hold 3 classes; received the shape \(1, 1, 23, 4"):
        metric.update_state(TRUTH, one_hot_scores(CLASS_MAP))
    with pytest.raises(ValueError, match=r"takes no sample_weight. Label the pixels"):
        metric.update_state(TRUTH, one_hot_scores(CLASS_MAP, 4)[..., :3], sample_weight=TRUTH)
    with pytest.raises(ValueError, match=r"one shape; received \(2,\) and \(3,\)"):
        metrics.confusion_matrix(np.zeros(2, int), np.zeros(3, int), classes=2)


LABELS = np.array([[[0, 1, 2, 1]]])
REFUSED = {
    "a part of a class": np.array([[[0, 0.51, 2, 1]]]),
    "not a number": np.array([[[0, np.nan, 2, 1]]], "float32"),
    "beyond 32 bits": np.array([[[0, 2**32 + 1, 2, 1]]]),
    "beyond 63 bits": np.array([[[0, 2**63 + 1, 2, 1]]], "uint64"),
    "below 0": np.array([[[0, -1, 2, 1]]], "int8"),
}


@pytest.mark.parametrize("labels", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("how", ["eager", "graph", "xla"])
def test_a_label_that_is_no_class_is_refused_by_both_forms(labels, how):
    with pytest.raises(ValueError, match=r"a class from 0 to 2, or 255, .*; received the labels"):
        metrics.confusion_matrix(labels, LABELS, classes=3)
    metric = metrics.ConfusionMatrix(3)
    update = metric.update_state
    if how != "eager":
        update = tf.function(update, jit_compile=how == "xla")
    update(labels, one_hot_scores(LABELS, 3))
    with pytest.raises(ValueError, match=r"a class from 0 to 2, or 255, .*; received 1 pixels"):
        metric.matrix  # noqa: B018


@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8", "int16", "int64", "uint64"])
def test_whole_numbers_of_any_type_are_counted(dtype):
    labels = np.array([[[0, 1, 2, 255]]]).astype(dtype)
    expected = metrics.confusion_matrix(labels, LABELS, classes=3)
    assert expected.sum() == 3
    metric = metrics.ConfusionMatrix(3)
    metric.update_state(labels, one_hot_scores(LABELS, 3))
    np.testing.assert_array_equal(metric.matrix, expected)
    masks = metrics.ConfusionMatrix(2)
    masks.update_state(labels == 1, one_hot_scores(np.array([[[0, 1, 0, 1]]]), 2))
    np.testing.assert_array_equal(masks.matrix, [[2, 1], [0, 1]])


@pytest.mark.parametrize(
    ("labels", "remedy"),
    [
        ((1, 1, 1), "Predict the class map at the size of the labels."),
        ((1, 2, 8), "Predict the class map at the size of the labels."),
        ((4, 4), "Predict the class map at the size of the labels."),
        ((1, 4, 4, 3), "Take the argmax of one-hot labels"),
    ],
)
def test_labels_of_another_shape_are_refused_by_both_forms(labels, remedy):
    message = rf"must have one shape; received {re.escape(str(labels))} and \(1, 4, 4\). {remedy}"
    labels, scores = np.zeros(labels, int), np.zeros((1, 4, 4, 3), "float32")
    with pytest.raises(ValueError, match=message):
        metrics.confusion_matrix(labels, scores.argmax(-1), classes=3)
    metric = metrics.ConfusionMatrix(3)
    for update in (metric.update_state, tf.function(metric.update_state)):
        with pytest.raises(ValueError, match=message):
            update(labels, scores)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("labels", [(1, 1, 1), (1, 2, 8), (1, 4, 5)])
def test_labels_of_another_shape_are_refused_in_a_graph_of_any_size(labels, jit_compile):
    """A graph's own broadcasting would count one label for all pixels."""
    metric = metrics.ConfusionMatrix(3)
    any_size = (
        tf.TensorSpec((None, None, None), "int32"),
        tf.TensorSpec((None, None, None, 3), "float32"),
    )
    update = tf.function(metric.update_state, input_signature=any_size, jit_compile=jit_compile)
    update(np.zeros((1, 4, 4), "int32"), np.zeros((1, 4, 4, 3), "float32"))
    assert metric.matrix.sum() == 16
    update(np.zeros(labels, "int32"), np.zeros((1, 4, 4, 3), "float32"))
    with pytest.raises(ValueError, match=r"received 16 pixels with another label"):
        metric.matrix  # noqa: B018


def test_scores_that_are_not_numbers_are_refused():
    scores = one_hot_scores(LABELS, 3)
    scores[0, 0, 1, 2] = scores[0, 0, 2] = np.nan
    metric = metrics.ConfusionMatrix(3)
    metric.update_state(np.array([[[0, 1, 255, 1]]]), scores)
    with pytest.raises(ValueError, match=r"received 1 pixels with NaN among their scores. Look"):
        metric.result()
    assert all(np.isnan(value) for value in tf.function(metric.result)().values())
    with pytest.raises(ValueError, match="received the predictions nan"):
        metrics.confusion_matrix([0, 1], [0, np.nan], classes=2)


def test_words_fractions_and_wrong_options_are_refused():
    for labels in (np.array([["sky"]]), np.array([[1j]])):
        with pytest.raises(ValueError, match=r"are whole numbers; received .* Pass class"):
            metrics.confusion_matrix(labels, np.array([[0]]), classes=2)
    for make in (metrics.ConfusionMatrix, lambda n: metrics.confusion_matrix([0], [0], classes=n)):
        for classes in (0, 2.0, True, None, 10**6):
            with pytest.raises(
                ValueError, match=r"from 1 to 8,192, and .*; received .* Pass classes=21"
            ):
                make(classes)
    for matrix in (MATRIX / 20, -MATRIX, MATRIX[:2], np.array(["a"])):
        with pytest.raises(ValueError, match=r"holds counts of pixels.*Pass what confusion_matrix"):
            metrics.scores(matrix)
    assert metrics.scores(MATRIX.astype(float))["mean_iou"] == metrics.scores(MATRIX)["mean_iou"]


def test_masked_arrays_are_refused_as_a_conversion_would_drop_the_mask():
    plain = np.array([[[0, 1, 0]]])
    masked = np.ma.array(plain, mask=[[[0, 0, 1]]])
    metric = metrics.ConfusionMatrix(2)
    for refused in (
        lambda: metrics.confusion_matrix(masked, plain, classes=2),
        lambda: metrics.confusion_matrix(plain, masked, classes=2),
        lambda: metric.update_state(masked, one_hot_scores(plain, 2)),
        lambda: metrics.scores(np.ma.array(np.eye(2), mask=np.eye(2))),
    ):
        with pytest.raises(ValueError, match=r"received a masked array. Pass labels.filled\(255\)"):
            refused()
    matrix = metrics.confusion_matrix(masked.filled(255), plain, classes=2)
    np.testing.assert_array_equal(matrix, np.eye(2))


@pytest.mark.parametrize(
    "matrix",
    [
        np.array([[2**63 + 5, 0], [0, 1]], np.uint64),
        np.full((2, 2), 2**62),  # each fits, their sum does not
        np.array([[-(2**63), 0], [0, 1]]),  # is its own absolute value
        np.array([[1e30, 0], [0, 1]]),
        np.full((2, 2), 1e308),
        np.array([[np.inf, 0], [0, 1]]),
        np.array([[np.nan, 0], [0, 1]]),
    ],
)
def test_counts_beyond_63_bits_are_refused(matrix):
    with pytest.raises(ValueError, match="of less than 2⁶³ pixels in all; received"):
        metrics.scores(matrix)


def test_counts_of_any_type_give_the_same_scores():
    many = MATRIX * 2**55
    for dtype in ("int64", "uint64", "float64"):
        assert metrics.scores(many.astype(dtype))["mean_iou"] == pytest.approx(SCORES["mean_iou"])


def test_a_class_that_is_known_to_be_absent_is_left_out_of_the_mean():
    """The second class is predicted and never true; the fourth is neither."""
    matrix = np.array([[6, 2, 0, 0], [0, 0, 0, 0], [0, 1, 3, 0], [0, 0, 0, 0]])
    counted, left = metrics.scores(matrix), metrics.scores(matrix, unscored=(1, 3))
    assert counted["mean_iou"] == pytest.approx((6 / 8 + 0 + 3 / 4) / 3)
    assert left["mean_iou"] == pytest.approx((6 / 8 + 3 / 4) / 2)
    for name in ("pixel_accuracy", "mean_accuracy", "frequency_weighted_iou"):
        assert left[name] == counted[name]
    np.testing.assert_array_equal(np.isnan(left["iou_per_class"]), [False, True, False, True])
    np.testing.assert_array_equal(np.isnan(left["dice_per_class"]), [False, True, False, True])
    assert left["precision_per_class"][1] == 0


def test_a_class_that_occurs_after_all_is_scored():
    matrix = np.array([[6, 2], [1, 0]])
    assert metrics.scores(matrix, unscored=(1,))["mean_iou"] == metrics.scores(matrix)["mean_iou"]
