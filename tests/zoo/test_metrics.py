"""The scores against hand-computed numbers, in NumPy, in Keras and over two replicas."""

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
    counts = np.array([seen, 0, 0, seen, 0, 0])
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
