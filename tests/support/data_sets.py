"""What is said of a data set before it is read, compared with what is read."""

from recipes import data


def assert_known(name, folder, *, background, test=False):
    known = data.SETS[name]
    splits = data.load(name, folder)
    assert list(splits) == ["train", "val", *(["test"] if test else [])]
    for dataset in splits.values():
        assert known.classes in (None, len(dataset.class_names))
        assert known.channels in (None, dataset.channels)
        assert known.other_heads == tuple(dataset.other_heads)
        assert known.instances in (None, dataset.instances is not None)
        assert dataset.background == background
