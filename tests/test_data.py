"""Arrays and streams to batches, compared with Keras's own adapters and with what Keras's fit sees."""

import itertools
import warnings

import keras
import numpy as np
import pytest
from keras.src.trainers.data_adapters import array_slicing, data_adapter_utils
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

import minikeras
from minikeras import config, data, random, utils

N = 10
X = np.arange(N * 3, dtype=np.float64).reshape(N, 3)
Y = np.arange(N)


def keras_epochs(x, y, epochs, **options):
    """The first column of every batch that Keras trains on, epoch by epoch."""
    seen = []

    class Recorder(keras.layers.Layer):
        def call(self, inputs):
            seen[-1].append(np.asarray(inputs)[:, 0].tolist())
            return inputs

    class Epochs(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append([])

    model = keras.Sequential([Recorder(), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    seen.append([])
    model(np.zeros((1, 3), "float32"))  # built here, so that fit records real batches only
    seen.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, y, epochs=epochs, verbose=0, callbacks=[Epochs()], **options)
    return seen


def our_epochs(x, y, epochs, steps_per_epoch=None, **options):
    source = data.batches(x, y, steps=steps_per_epoch, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [[batch[0][:, 0].tolist() for batch in source.epoch()] for _ in range(epochs)]


class Dataset(utils.PyDataset):
    def __init__(self, n):
        super().__init__()
        self.n, self.log = n, []

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        self.log.append(index)
        return np.full((2, 3), float(index)), np.zeros(2)

    def on_epoch_begin(self):
        self.log.append("begin")

    def on_epoch_end(self):
        self.log.append("end")


class KerasDataset(keras.utils.PyDataset):
    def __init__(self, n):
        super().__init__()
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        return np.full((2, 3), float(index)), np.zeros(2)


class Restartable:
    """An iterable of unknown length."""

    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return generator(self.n)


def generator(n):
    for i in range(n):
        yield np.full((2, 3), float(i)), np.zeros(2)


class Frame:
    """Stands for a pandas object: an array only by `__array__`."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)

    def __len__(self):
        return len(self.values)

    def __iter__(self):  # pandas iterates over column names
        return iter("abc")


def columns(source):
    return [x[:, 0].tolist() for x, _, _ in source.epoch()]


# Arrays


@pytest.mark.parametrize(
    ("options", "epochs"),
    [
        ({}, 2),
        ({"batch_size": 4}, 2),
        ({"batch_size": 5}, 2),
        ({"batch_size": 100}, 1),
        ({"steps_per_epoch": 3}, 2),
        ({"steps_per_epoch": 6}, 2),
        ({"batch_size": 2, "steps_per_epoch": 2}, 5),
        ({"batch_size": 2, "steps_per_epoch": 5}, 3),
        ({"batch_size": 2, "steps_per_epoch": 7}, 3),
    ],
)
def test_batches_of_arrays_are_those_of_keras(options, epochs):
    assert our_epochs(X, Y, epochs, shuffle=False, **options) == keras_epochs(X, Y, epochs, shuffle=False, **options)


@pytest.mark.parametrize("shuffle", [True, "batch"])
def test_shuffle(shuffle, monkeypatch):
    monkeypatch.setattr(random, "_global_seed", None)  # as in a script that sets no seed
    source = data.batches(X, Y, X[:, 0], batch_size=4, shuffle=shuffle)
    epochs = [list(source.epoch()) for _ in range(3)]
    orders = [np.concatenate([y for _, y, _ in batches]) for batches in epochs]
    for batches, order in zip(epochs, orders, strict=True):
        assert [len(x) for x, _, _ in batches] == [4, 4, 2]
        assert sorted(order) == list(range(N))
        for x, y, w in batches:
            np.testing.assert_array_equal(x, X[y].astype(np.float32))
            np.testing.assert_array_equal(w, X[y, 0].astype(np.float32))
        if shuffle == "batch":
            assert [sorted(y) for _, y, _ in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len({tuple(o) for o in orders}) == 3


@pytest.mark.parametrize("shuffle", [True, "batch"])
def test_arrays_are_shuffled_alike_whole_or_batch_by_batch(shuffle, monkeypatch):
    def epoch():
        utils.set_random_seed(3)
        return list(data.batches(X, Y, X[:, 0], batch_size=4, shuffle=shuffle))

    whole = epoch()
    monkeypatch.setattr(data.epochs, "FEW_BYTES", 0)
    for a, b in zip(whole, epoch(), strict=True):
        for one, other in zip(a, b, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("shuffle", [True, "batch"])
def test_the_seed_fixes_the_order(shuffle):
    def run():
        utils.set_random_seed(3)
        source = data.batches(np.arange(50.0), batch_size=8, shuffle=shuffle)
        return [x.tolist() for _ in range(2) for x, _, _ in source.epoch()]

    assert run() == run()


def test_attributes_of_array_batches():
    source = data.batches(X, Y, batch_size=4)
    assert (source.steps, source.batch_size, source.exhausted) == (3, 4, False)
    assert source.arrays[0].shape == (N, 3)
    assert source.arrays[2] is None
    x, y, w = source.peek()
    assert x.shape == (4, 3)
    assert y.tolist() == [0, 1, 2, 3]
    assert w is None
    assert [len(x) for x, _, _ in source] == [4, 4, 2]
    assert data.batches(X, steps=4).batch_size == 3
    assert data.batches(X).batch_size == 32


def test_peek_draws_no_random_numbers():
    np.random.seed(1)
    source = data.batches(X, shuffle=True, batch_size=3)
    source.peek()
    first = columns(source)
    np.random.seed(1)
    assert columns(data.batches(X, shuffle=True, batch_size=3)) == first


def test_an_abandoned_epoch_does_not_shorten_the_next():
    source = data.batches(X, Y, batch_size=3)
    for _ in source.epoch():
        break
    assert len(list(source.epoch())) == 4


# Types


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", [np.uint8, np.int64, np.bool_, np.float16, np.float32, np.float64, ">f8"])
def test_x_and_weights_become_the_float_type(given, dtype):
    x = np.array([[0, 1], [1, 1]]).astype(given)
    arrays = data.batches(x, x[:, 0], x[:, 1], dtype=dtype).arrays
    assert arrays[0].dtype == arrays[2].dtype == dtype
    assert arrays[0].dtype.isnative
    np.testing.assert_array_equal(arrays[0], x)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("uint8", "uint8"), ("int64", "int64"), (">i4", "int32"), ("bool", "uint8"), ("float64", "float32")],
)
def test_targets_keep_their_integers(given, expected):
    y = data.batches(X, (Y % 2).astype(given)).arrays[1]
    assert y.dtype == np.dtype(expected)
    np.testing.assert_array_equal(y, Y % 2)


def test_the_default_type_is_floatx():
    config.set_floatx("float64")
    assert data.batches(X).arrays[0].dtype == np.float64
    assert data.batches(X).arrays[0] is X


def test_arrays_that_fit_are_not_copied_and_others_are_contiguous():
    x = X.astype(np.float32)
    assert data.batches(x).arrays[0] is x
    assert data.batches(np.asfortranarray(x)).arrays[0].flags.c_contiguous
    assert data.batches(x[:, ::2]).arrays[0].flags.c_contiguous


def test_lists_and_array_likes():
    expected = np.array([[1, 2], [3, 4]], np.float32)
    from minikeras.variables import Variable

    for x in (
        [[1, 2], [3, 4]],
        ((1.0, 2.0), (3.0, 4.0)),
        Frame(expected),
        Variable(expected),
        [expected],
        keras.ops.array(expected),
    ):
        np.testing.assert_array_equal(data.batches(x).arrays[0], expected)
    arrays = data.batches([1, 2, 3], Frame([0, 1, 0]), range(3)).arrays
    assert [a.tolist() for a in arrays] == [[1, 2, 3], [0, 1, 0], [0, 1, 2]]
    assert data.batches(X, [np.int64(c) for c in Y]).arrays[1].dtype == np.int64


@pytest.mark.parametrize("bad", [None, np.nan, np.inf, -np.inf])
def test_one_bad_number_of_a_million_is_seen(bad):
    x = np.zeros((500_001, 2), np.float32)
    if bad is None:
        data.batches(x)
        return
    x[345678, 1] = bad
    with pytest.raises(ValueError, match=r"1 value that is NaN or infinite, the first at index \(345678, 1\)"):
        data.batches(x)


def test_large_finite_numbers_pass():
    x = np.full((4, 2), 3e38)  # the sum overflows, the numbers do not
    assert np.isfinite(data.batches(x).arrays[0]).all()


# Class weights


@pytest.mark.parametrize(
    "y",
    [
        np.array([0, 1, 2, 1, 3]),
        np.array([[0], [1], [2], [1], [3]]),
        np.array([0.0, 1.0, 0.0, 1.0, 1.0]),
        np.array([[0.0], [1.0], [0.0]]),
        np.eye(4)[[0, 2, 1, 3]],
        np.eye(4, dtype="uint8")[[3, 2, 1, 3]],
        np.array([[0.2, 0.8], [0.6, 0.4]]),
    ],
)
@pytest.mark.parametrize("class_weight", [{0: 0.5, 1: 2.0, 2: 3}, {1: 7.0}, {np.int64(3): 0.0}, {}])
def test_class_weights_are_those_of_keras(y, class_weight):
    expected = data_adapter_utils.class_weight_to_sample_weights(y, class_weight)
    ours = data.batches(np.zeros((len(y), 1)), y, class_weight=class_weight).arrays[2]
    np.testing.assert_array_equal(ours, expected)
    assert ours.dtype == expected.dtype == np.float32


def test_class_weights_of_streams():
    source = data.batches([(np.zeros((2, 1)), np.array([0, 1]))] * 2, class_weight={1: 5})
    assert [w.tolist() for _, _, w in source.epoch()] == [[1, 5], [1, 5]]
    with pytest.raises(ValueError, match="class_weight and sample_weight exclude"):
        data.batches(iter([(np.zeros((2, 1)), np.zeros(2), np.ones(2))]), class_weight={1: 5})


# The validation split


@pytest.mark.parametrize("n", [2, 3, 10, 97])
@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.2, 0.3, 1 / 3, 0.5, 0.9, 0.99])
def test_the_split_is_that_of_keras(n, fraction):
    arrays = np.arange(n, dtype="float32"), np.arange(n), np.ones(n, "float32")
    try:
        expected = array_slicing.train_validation_split(arrays, fraction)
    except ValueError:
        with pytest.raises(ValueError, match="both parts need one"):
            data.train_validation_split(*arrays, fraction)
        return
    ours = data.train_validation_split(*arrays, fraction)
    for part, expected_part in zip(ours, expected, strict=True):
        for a, b in zip(part, expected_part, strict=True):
            np.testing.assert_array_equal(a, np.asarray(b))


def test_the_split_takes_lists_and_leaves_none():
    (x, y, w), (vx, vy, vw) = data.train_validation_split([[1], [2], [3], [4]], [0, 1, 0, 1], None, 0.25)
    assert (x.tolist(), y.tolist(), w) == ([[1], [2], [3]], [0, 1, 0], None)
    assert (vx.tolist(), vy.tolist(), vw) == ([[4]], [1], None)


# Streams


@pytest.mark.parametrize(
    ("n", "options", "epochs"),
    [(5, {}, 1), (5, {"steps_per_epoch": 2}, 3), (6, {"steps_per_epoch": 2}, 3), (6, {"steps_per_epoch": 4}, 2)],
)
def test_a_generator_goes_on_over_the_epochs_as_in_keras(n, options, epochs):
    expected = keras_epochs(generator(n), None, epochs, **options)
    assert our_epochs(generator(n), None, epochs, **options) == expected


@pytest.mark.parametrize("steps", [None, 1, 2, 5, 7])
def test_a_dataset_starts_again_as_in_keras(steps):
    expected = keras_epochs(KerasDataset(5), None, 4, shuffle=False, steps_per_epoch=steps)
    assert our_epochs(Dataset(5), None, 4, steps_per_epoch=steps) == expected
    assert our_epochs(KerasDataset(5), None, 4, steps_per_epoch=steps) == expected


def test_a_shuffled_dataset_has_the_order_of_keras():
    import random

    random.seed(5)
    expected = keras_epochs(KerasDataset(8), None, 3)
    random.seed(5)
    assert our_epochs(Dataset(8), None, 3, shuffle=True) == expected


def test_a_dataset_hears_of_its_epochs():
    dataset = Dataset(2)
    source = data.batches(dataset)
    dataset.log.clear()
    assert source.steps == 2
    for _ in range(2):
        list(source.epoch())
    assert dataset.log == ["begin", 0, 1, "end"] * 2


def test_the_length_of_an_iterable_is_learned():
    source = data.batches(Restartable(3))
    assert source.steps is None
    assert columns(source) == columns(source) == [[0, 0], [1, 1], [2, 2]]
    assert source.steps == 3
    assert not source.exhausted


def test_an_iterable_of_unknown_length_is_never_skipped_for_an_epoch():
    source = data.batches(Restartable(4), steps=2)
    assert [columns(source) for _ in range(4)] == [[[0, 0], [1, 1]], [[2, 2], [3, 3]]] * 2


def test_a_list_of_batches():
    source = data.batches(list(generator(3)))
    assert (source.steps, source.batch_size, source.arrays) == (3, None, None)
    assert columns(source) == columns(source) == [[0, 0], [1, 1], [2, 2]]


def test_peek_consumes_nothing():
    for stream in (generator(3), Restartable(3), Dataset(3), iter(list(generator(3)))):
        source = data.batches(stream)
        assert source.peek()[0].tolist() == source.peek()[0].tolist() == [[0.0] * 3] * 2
        assert source.peek()[0].dtype == np.float32
        assert columns(source) == [[0, 0], [1, 1], [2, 2]]


def test_the_natural_end_of_a_generator_is_silent_and_what_follows_is_not():
    source = data.batches(generator(3))
    assert len(list(source.epoch())) == source.steps == 3
    assert source.exhausted
    with pytest.warns(UserWarning, match="ran out of data after 0 batches, expected 3"):
        assert list(source.epoch()) == []


@pytest.mark.parametrize("make", [generator, Dataset, Restartable, lambda n: list(generator(n))])
def test_too_few_batches_warn(make):
    source = data.batches(make(3), steps=4)
    with pytest.warns(UserWarning, match="ran out of data after 3 batches, expected 4"):
        assert len(list(source.epoch())) == 3
    assert source.exhausted == (make is generator)


def test_an_endless_generator_with_steps():
    source = data.batches((np.full((1, 1), float(i)) for i in itertools.count()), steps=3)
    assert [columns(source) for _ in range(2)] == [[[0], [1], [2]], [[3], [4], [5]]]


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (np.ones((2, 1), int), ([[1], [1]], None, None)),
        ((np.ones((2, 1)),), ([[1], [1]], None, None)),
        (([[1], [1]], [0, 1]), ([[1], [1]], [0, 1], None)),
        ([np.ones((2, 1)), np.zeros(2)], ([[1], [1]], [0, 0], None)),
        ([[1, 2], [3, 4]], ([[1, 2], [3, 4]], None, None)),
        ((np.ones((1, 1)), np.zeros(1), np.full(1, 2)), ([[1]], [0], [2])),
        ((np.ones((1, 1)), np.zeros(1), None), ([[1]], [0], None)),
    ],
)
def test_forms_of_a_batch(batch, expected):
    (ours,) = data.batches(iter([batch])).epoch()
    assert tuple(None if a is None else a.tolist() for a in ours) == expected
    assert ours[0].dtype == np.float32


def test_unpack():
    pair = (X, Y)
    stream = generator(1)
    assert data.unpack(pair)[0] is X
    assert data.unpack(pair)[1] is Y
    assert data.unpack(pair)[2] is None
    assert data.unpack([X, Y, Y])[2] is Y
    assert data.unpack((X,))[1:] == (None, None)
    assert data.unpack(X)[0] is X
    assert data.unpack(stream)[0] is stream
    batches = [(X, Y), (X, Y)]
    assert data.unpack(batches)[0] is batches


def test_pydataset_iterates_like_keras():
    ours, theirs = Dataset(3), KerasDataset(3)
    assert [x.tolist() for x, _ in ours] == [x.tolist() for x, _ in theirs]
    assert utils.Sequence is utils.PyDataset
    assert ours.num_batches == theirs.num_batches == 3


# Errors

NAN = X.copy()
NAN[4, 1] = np.nan
NAN[6, 0] = np.inf

ERRORS = {
    "lengths": ((X, Y[:4]), {}, ValueError, "x has 10, y has 4"),
    "lengths of weights": ((X, Y, np.ones(3)), {}, ValueError, "x has 10, y has 10, sample_weight has 3"),
    "no samples": ((X[:0], Y[:0]), {}, ValueError, r"x is empty: its shape is \(0, 3\)"),
    "empty list": (([],), {}, ValueError, "x is empty"),
    "empty y": ((X, []), {}, ValueError, "y is empty"),
    "None": ((None, Y), {}, ValueError, "x is None"),
    "scalar": ((3.0,), {}, ValueError, "samples along its first axis"),
    "text": ((np.array(["a", "b"]),), {}, TypeError, r"x: expected numbers.*<U1.*Encode"),
    "string": (("images.csv",), {}, TypeError, "x: expected numbers, received a str"),
    "string labels": ((X, ["cat"] * N), {}, TypeError, "y: expected numbers, received a list of dtype <U3"),
    "objects": ((np.array([1, None]),), {}, TypeError, "x: expected numbers, received a ndarray of dtype object"),
    "dictionary": (({"a": X},), {}, TypeError, "x: expected numbers, received a dict"),
    "complex": ((X * 1j,), {}, TypeError, "complex128"),
    "dates": ((np.zeros(3, "M8[s]"),), {}, TypeError, "datetime64"),
    "ragged": (([[1, 2], [3]],), {}, ValueError, "x is ragged"),
    "ragged y": ((X[:2], [[1, 2], 3]), {}, ValueError, "y is ragged"),
    "several arrays": (([X, X],), {}, ValueError, "x is a list of 2 arrays"),
    "x and y in one": (((X, Y),), {}, ValueError, "x is a tuple of 2 arrays.*x and y are two arguments"),
    "NaN": ((NAN,), {}, ValueError, r"x contains 2 values that are NaN or infinite, the first at index \(4, 1\): nan"),
    "NaN in y": ((X, NAN[:, 0]), {}, ValueError, r"y contains 1 value that is NaN or infinite.*\(6,\): inf"),
    "NaN weight": ((X, Y, NAN[:, 1]), {}, ValueError, r"sample_weight contains 1 value.*\(4,\): nan"),
    "too large": ((X * 1e40,), {}, ValueError, r"x contains 29 values that are too large for float32.*\(0, 1\)"),
    "batch_size 0": ((X,), {"batch_size": 0}, ValueError, "batch_size: expected a positive integer, received 0"),
    "batch_size -1": ((X,), {"batch_size": -1}, ValueError, "batch_size"),
    "batch_size 3.5": ((X,), {"batch_size": 3.5}, TypeError, r"batch_size.*3.5 \(float\)"),
    "batch_size True": ((X,), {"batch_size": True}, TypeError, "batch_size"),
    "batch_size text": ((X,), {"batch_size": "32"}, TypeError, "batch_size"),
    "steps 0": ((X,), {"steps": 0}, ValueError, "steps"),
    "shuffle": ((X,), {"shuffle": "yes"}, ValueError, "shuffle"),
    "class_weight array": ((X, Y), {"class_weight": np.ones(3)}, TypeError, r"dict\(enumerate\(weights\)\)"),
    "both weights": ((X, Y, np.ones(N)), {"class_weight": {0: 1}}, ValueError, "exclude each other"),
    "class_weight without y": ((X,), {"class_weight": {0: 1}}, ValueError, "class_weight needs targets"),
    "class_weight of images": ((X, np.ones((N, 2, 2))), {"class_weight": {0: 1}}, ValueError, r"\(10, 2, 2\)"),
    "y beside a stream": ((iter([X]), Y), {}, ValueError, "y was given beside a stream of batches"),
    "weights beside a stream": ((iter([X]), None, Y), {}, ValueError, "sample_weight was given beside a stream"),
    "empty generator": ((iter([]),), {}, ValueError, "empty"),
    "empty dataset": ((Dataset(0),), {}, ValueError, "Dataset.*empty"),
    "batch of four": ((iter([(X, Y, Y, Y)]),), {}, ValueError, "Batch 0 of the stream is a tuple of 4"),
    "batch lengths": ((iter([(X, Y[:2])]),), {}, ValueError, "differ of batch 0: x has 10, y has 2"),
    "batch of text": ((iter(["ab"]),), {}, TypeError, "x of batch 0"),
    "NaN batch": ((iter([(NAN, Y)]),), {}, ValueError, "x of batch 0 contains 2 values"),
    "unfinished dataset": ((utils.PyDataset(),), {}, NotImplementedError, "write __len__"),
    "unknown object": ((object(),), {}, TypeError, "x: expected numbers, received a object"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    arguments, options, kind, message = ERRORS[case]
    with pytest.raises(kind, match=message):
        data.batches(*arguments, **options)


def test_an_error_in_a_later_batch_names_it():
    source = data.batches(iter([(X, Y), (NAN, Y)]))
    with pytest.raises(ValueError, match="x of batch 1 contains"):
        list(source.epoch())


@pytest.mark.parametrize("fraction", [0, 1, 1.5, -0.2, np.nan, "half", None])
def test_impossible_fractions(fraction):
    with pytest.raises(ValueError, match="validation_split: expected a fraction between 0 and 1"):
        data.train_validation_split(X, Y, None, fraction)


def test_errors_of_the_split():
    with pytest.raises(ValueError, match="leaves 0 to train and 1 to validate"):
        data.train_validation_split(X[:1], Y[:1], None, 0.5)
    with pytest.raises(ValueError, match="validation_split needs arrays"):
        data.train_validation_split(generator(3), None, None, 0.5)
    with pytest.raises(ValueError, match="x has 10, y has 3"):
        data.train_validation_split(X, Y[:3], None, 0.5)
    with pytest.raises(ValueError, match=r"the first at index \(4, 1\)"):
        data.train_validation_split(NAN, Y, None, 0.9)


def test_errors_of_unpack():
    with pytest.raises(ValueError, match="received a tuple of 4"):
        data.unpack((X, Y, Y, Y))


def test_keras_refuses_the_same_combinations():
    for arguments in ({"sample_weight": np.ones(N), "class_weight": {0: 1.0}}, {}):
        y = Y if arguments else Y[:4]
        with pytest.raises(ValueError, match=r"class_weight|cardinality"):
            ArrayDataAdapter(X, y, **arguments)
        with pytest.raises(ValueError, match=r"class_weight|differ"):
            data.batches(X, y, **arguments)


# Tables


class Table(Frame):
    """Stands for a pandas DataFrame whose columns are of several kinds: its array is one of objects."""

    columns = ("age", "town")

    def __init__(self, values):
        super().__init__(np.array(values, dtype=object))

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=object)


class Weights(dict):
    """Stands for a pandas Series, whose values come without their index."""

    def to_dict(self):
        return dict(self)


@pytest.mark.parametrize(
    "rows",
    [
        [[20.0, True], [30.0, False]],
        [[np.int64(1), np.float32(2)], [3, 4.5]],
        [[1, 2], [3, 4]],
        [[np.bool_(True), 7], [False, np.uint8(3)]],
    ],
)
def test_columns_of_several_kinds_become_one_array(rows):
    x, y, _ = data.standardize(Table(rows), np.array([0, 1], object))
    np.testing.assert_array_equal(x, np.array(rows, "float32"))
    assert x.dtype == "float32"
    assert y.dtype.kind == "i"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Table([[1.0, "A"], [2.0, 3]]), r"At column 'town', row 0, there is 'A' \(str\)"),
        (np.array([1, None]), r"At index \(1,\) there is None \(NoneType\)"),
        (np.array([np.ones(2), np.ones(3)], object), "np.stack makes one array"),
        (np.array(["1", 2], object), r"At index \(0,\) there is '1' \(str\)"),
    ],
)
def test_what_is_no_number_is_shown_with_its_place(value, message):
    with pytest.raises(TypeError, match=message):
        data.standardize(value)


def test_class_weights_of_a_series_are_taken_by_its_index():
    y = np.array([0, 1, 1, 1])
    source = data.batches(np.ones((4, 1)), y, class_weight=Weights({1: 4 / 3, 0: 4.0}))
    np.testing.assert_allclose(source.peek()[2], [4, 4 / 3, 4 / 3, 4 / 3])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_predict_answers_where_a_number_is_missing_and_evaluate_says_why_it_cannot(value):
    model = minikeras.Sequential([minikeras.Input((3,)), minikeras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((6, 3))
    expected = model.predict(x, verbose=0)
    x[2, 1] = value
    rest = [0, 1, 3, 4, 5]
    for y in (
        model.predict(x, verbose=0),
        model.predict(x, batch_size=2, verbose=0, steps=3),
        model.predict_on_batch(x),
        model.predict(iter([(x[:3],), (x[3:],)]), verbose=0),
        np.asarray(model(x)),
    ):
        assert not np.isfinite(y[2]).any()
        np.testing.assert_allclose(y[rest], expected[rest])
    with pytest.raises(ValueError, match=r"index \(2, 1\).*No loss can be computed with"):
        model.evaluate(x, np.ones(6), verbose=0)
