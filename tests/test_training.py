"""Training beside tf.keras: the same weights and batches give the same losses, metrics, hooks and histories."""

import copy
import pickle

import keras
import numpy as np
import pytest

import minikeras

LIBRARIES = {"keras": keras, "minikeras": minikeras}


def pair(make):
    """The same model in both libraries, with the same weights."""
    theirs, ours = make(keras), make(minikeras)
    generator = np.random.default_rng(5)
    weights = [generator.normal(scale=0.3, size=w.shape).astype("float32") for w in theirs.get_weights()]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    return ours, theirs


def tanh_network(k, classes=4):
    return k.Sequential(
        [
            k.Input((6,)),
            k.layers.Dense(12, activation="tanh"),
            k.layers.Dense(8, activation="tanh"),
            k.layers.Dense(classes, activation="softmax"),
        ]
    )


def data(n=200, inputs=6, classes=4, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, inputs)).astype("float32")
    y = (x @ generator.normal(size=(inputs, classes))).argmax(axis=1)
    return x, y


OPTIMIZERS = {
    "sgd": lambda k: k.optimizers.SGD(0.1),
    "momentum": lambda k: k.optimizers.SGD(0.05, momentum=0.9),
    "nesterov": lambda k: k.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "rmsprop": lambda k: k.optimizers.RMSprop(0.01),
    "rmsprop-centered": lambda k: k.optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "adam": lambda k: k.optimizers.Adam(0.01),
    "amsgrad": lambda k: k.optimizers.Adam(0.01, amsgrad=True),
    "adagrad": lambda k: k.optimizers.Adagrad(0.1),
    "adam-clipnorm": lambda k: k.optimizers.Adam(0.01, clipnorm=0.1),
    "sgd-global-clipnorm": lambda k: k.optimizers.SGD(0.1, global_clipnorm=0.2),
    "sgd-clipvalue": lambda k: k.optimizers.SGD(0.1, clipvalue=0.01),
    "adam-decay": lambda k: k.optimizers.Adam(0.01, weight_decay=0.02),
    "sgd-schedule": lambda k: k.optimizers.SGD(k.optimizers.schedules.ExponentialDecay(0.2, 30, 0.5)),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_lock_step_with_keras_over_100_steps(optimizer):
    ours, theirs = pair(tanh_network)
    for k, model in (keras, theirs), (minikeras, ours):
        model.compile(OPTIMIZERS[optimizer](k), "sparse_categorical_crossentropy")
    x, y = data()
    for step in range(100):
        rows = np.random.default_rng(step).integers(0, len(x), 32)
        theirs.reset_metrics()
        ours.reset_metrics()
        their_loss, our_loss = theirs.train_on_batch(x[rows], y[rows]), ours.train_on_batch(x[rows], y[rows])
        assert abs(float(their_loss) - our_loss) < 1e-5, f"step {step}"


def cnn(k):
    return k.Sequential(
        [
            k.Input((10, 10, 1)),
            k.layers.Conv2D(4, 3, activation="relu", padding="same"),
            k.layers.MaxPooling2D(2),
            k.layers.Conv2D(8, 3, activation="tanh"),
            k.layers.AveragePooling2D(2, padding="same"),
            k.layers.Flatten(),
            k.layers.Dense(10, activation="relu", kernel_regularizer="l2"),
            k.layers.Dense(3, activation="softmax"),
        ]
    )


def test_history_of_a_convolutional_network():
    ours, theirs = pair(cnn)
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(90, 10, 10)), generator.integers(0, 3, 90)
    histories = {}
    for name, model in (("theirs", theirs), ("ours", ours)):
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        histories[name] = model.fit(x, y, epochs=3, batch_size=16, shuffle=False, validation_split=0.2, verbose=0)
    a, b = histories["ours"], histories["theirs"]
    assert list(a.history) == list(b.history)
    for key in b.history:
        np.testing.assert_allclose(a.history[key], b.history[key], atol=1e-5, err_msg=key)
    assert a.epoch == b.epoch
    assert a.params == {**b.params, "verbose": 0}
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), atol=1e-5)


FITS = {
    "plain": {},
    "batch_size": {"batch_size": 7},
    "sample_weight": {"sample_weight": np.linspace(0, 2, 200)},
    "class_weight": {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5, 3: 0.0}},
    "validation_data": {"validation_data": data(50, seed=9)},
    "validation_weights": {"validation_data": (*data(50, seed=9), np.linspace(1, 2, 50)), "validation_batch_size": 11},
    "validation_freq": {"validation_split": 0.25, "validation_freq": 2},
    "validation_epochs": {"validation_split": 0.25, "validation_freq": [1, 3]},
    "initial_epoch": {"initial_epoch": 1},
    "steps_per_epoch": {"steps_per_epoch": 3},
}


@pytest.mark.parametrize("options", FITS)
def test_fit_options_agree_with_keras(options):
    arguments = dict(FITS[options])
    x, y = data()
    ours, theirs = pair(tanh_network)
    histories = []
    for model in (theirs, ours):
        model.compile(
            "rmsprop",
            "sparse_categorical_crossentropy",
            metrics=["accuracy", "sparse_top_k_categorical_accuracy"],
            weighted_metrics=["sparse_categorical_accuracy", "accuracy"],
        )
        histories.append(model.fit(x, y, epochs=3, shuffle=False, verbose=0, **arguments).history)
    theirs_history, ours_history = histories
    assert list(ours_history) == list(theirs_history)
    for key, values in theirs_history.items():
        np.testing.assert_allclose(ours_history[key], values, atol=2e-5, err_msg=key)


LOSSES = {
    "mse": (1, None, lambda x, y: (x[:, :1], "mse")),
    "mae-flat-targets": (1, None, lambda x, y: (x[:, 0], "mae")),
    "huber": (3, None, lambda x, y: (x[:, :3], "huber")),
    "binary": (1, "sigmoid", lambda x, y: ((y > 1).astype("float32"), "binary_crossentropy")),
    "binary-many": (4, "sigmoid", lambda x, y: (np.eye(4)[y], "binary_crossentropy")),
    "categorical": (4, "softmax", lambda x, y: (np.eye(4)[y], "categorical_crossentropy")),
    "sparse": (4, "softmax", lambda x, y: (y, "sparse_categorical_crossentropy")),
    "sparse-column": (4, "softmax", lambda x, y: (y[:, None], "sparse_categorical_crossentropy")),
}


@pytest.mark.parametrize(
    ("case", "scale"),
    [*((case, 1.0) for case in LOSSES), *((c, 40.0) for c in LOSSES if "binary" in c or "cat" in c or "sparse" in c)],
)
def test_losses_through_fit(case, scale):
    """With scale 40, inputs are so large that probabilities reach 0 and 1, where clipping would show."""
    units, activation, targets = LOSSES[case]
    x, labels = data()
    y, loss = targets(x, labels)

    def make(k):
        return k.Sequential([k.Input((6,)), k.layers.Dense(units, activation=activation)])

    ours, theirs = pair(make)
    results = []
    for model in (theirs, ours):
        model.compile(keras.optimizers.SGD(0.01) if model is theirs else "sgd", loss, metrics=["accuracy"])
        history = model.fit(x * scale, y, epochs=2, shuffle=False, verbose=0).history
        results.append((history, model.evaluate(x * scale, y, verbose=0)))
    (their_history, their_values), (our_history, our_values) = results
    for key in their_history:
        np.testing.assert_allclose(our_history[key], their_history[key], rtol=2e-5, atol=2e-5, err_msg=key)
    np.testing.assert_allclose(our_values, their_values, rtol=2e-5, atol=2e-5)


def test_losses_as_objects_and_functions():
    x, y = data()
    for make in (
        lambda k: k.losses.SparseCategoricalCrossentropy(from_logits=True),
        lambda k: k.losses.sparse_categorical_crossentropy,
        lambda k: k.losses.SparseCategoricalCrossentropy(),
        lambda k: k.losses.SparseCategoricalCrossentropy(reduction="sum"),
    ):
        ours, theirs = pair(
            lambda k: k.Sequential([k.Input((6,)), k.layers.Dense(4, activation="relu"), k.layers.Dense(4)])
        )
        values = []
        for k, model in (keras, theirs), (minikeras, ours):
            model.compile(k.optimizers.SGD(0.001), make(k))
            values.append(model.fit(x, y, epochs=2, shuffle=False, verbose=0).history["loss"])
        np.testing.assert_allclose(values[1], values[0], rtol=2e-5)


class Recorder:
    """Mixed into either library's Callback: notes each hook, with the names in its logs."""

    def __init_subclass__(cls):
        hooks = [
            f"on_{what}_{when}"
            for what in ("train", "test", "predict", "epoch", "train_batch", "test_batch", "predict_batch")
            for when in ("begin", "end")
        ]
        for hook in hooks:

            def note(self, *args, logs=None, hook=hook):
                logs = args[-1] if args and isinstance(args[-1], dict) else logs or {}
                self.notes.append((hook, *(a for a in args if isinstance(a, int)), *logs))

            setattr(cls, hook, note)


def test_hooks_are_called_as_keras_calls_them():
    notes = {}
    for name, k in LIBRARIES.items():

        class Noting(Recorder, k.callbacks.Callback):
            pass

        callback = Noting()
        callback.notes = []
        model = tanh_network(k)
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        x, y = data(70)
        model.fit(x, y, epochs=2, validation_split=0.3, verbose=0, callbacks=[callback])
        model.evaluate(x, y, verbose=0, callbacks=[callback])
        model.predict(x, verbose=0, callbacks=[callback])
        notes[name] = callback.notes
    assert notes["minikeras"] == notes["keras"]


def test_batch_logs_are_the_running_means():
    seen = {}
    for name, k in LIBRARIES.items():
        rows = []
        callback = k.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs, rows=rows: rows.append(dict(logs)))
        model = tanh_network(k)
        model.set_weights([np.arange(w.size).reshape(w.shape) * 0.1 % 0.7 for w in model.get_weights()])
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        x, y = data(70)
        model.fit(x, y, epochs=1, shuffle=False, verbose=0, callbacks=[callback])
        seen[name] = rows
    assert len(seen["minikeras"]) == 3
    for a, b in zip(seen["minikeras"], seen["keras"], strict=True):
        assert list(a) == list(b)
        np.testing.assert_allclose(list(a.values()), [float(v) for v in b.values()], atol=1e-5)


def test_stop_training_ends_after_the_batch():
    counts = {}
    for name, k in LIBRARIES.items():

        class Stop(k.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                if batch == 1:
                    self.model.stop_training = True

        model = tanh_network(k)
        model.compile("sgd", "sparse_categorical_crossentropy")
        history = model.fit(*data(200), epochs=5, verbose=0, callbacks=[Stop()])
        counts[name] = (len(history.epoch), int(model.optimizer.iterations))
    assert counts["minikeras"] == counts["keras"] == (1, 2)


def batches(n=5, size=10, weighted=False):
    for i in range(n):
        x, y = data(size, seed=i)
        yield (x, y, np.linspace(0, 1, size)) if weighted else (x, y)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras warns where a generator merely ends
@pytest.mark.parametrize("weighted", [False, True])
def test_fit_from_a_generator(weighted):
    ours, theirs = pair(tanh_network)
    results = []
    for model in (theirs, ours):
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        options = {"steps_per_epoch": 5, "epochs": 3, "verbose": 0, "shuffle": False}
        history = model.fit(batches(20, weighted=weighted), **options).history
        results.append((history, model.evaluate(batches(), verbose=0), model.predict(batches(), verbose=0)))
    for a, b in zip(results[1][0].values(), results[0][0].values(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_allclose(results[1][1], results[0][1], atol=1e-5)
    np.testing.assert_allclose(results[1][2], results[0][2], atol=1e-5)


def test_fit_from_a_list_of_batches():
    model = tanh_network(minikeras)
    model.compile("sgd", "sparse_categorical_crossentropy")
    history = model.fit([(x, y) for x, y in batches()], epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2
    assert model.optimizer.iterations == 10


def test_on_batch_methods_agree_with_keras():
    ours, theirs = pair(tanh_network)
    x, y = data(30)
    values = []
    for model in (theirs, ours):
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        values.append(
            [
                *model.train_on_batch(x, y),
                *model.train_on_batch(x[:5], y[:5], sample_weight=np.arange(5.0)),
                *model.train_on_batch(x[:5], y[:5], return_dict=True).values(),
                *model.train_on_batch(x[:7], y[:7], class_weight={0: 2.0, 1: 1.0, 2: 1.0, 3: 1.0}),
                *model.test_on_batch(x, y),
                *model.evaluate(x, y, verbose=0),
                *model.evaluate(x, y, verbose=0, return_dict=True).values(),
                *model.evaluate(x, y, verbose=0, sample_weight=np.linspace(0, 1, 30), batch_size=8),
                *model.predict_on_batch(x).ravel(),
            ]
        )
    np.testing.assert_allclose(values[1], [float(v) for v in values[0]], atol=1e-5)


def test_float_inputs_are_cast_as_a_whole():
    ours, theirs = pair(tanh_network)
    x = data(40)[0].astype("float64") / 3
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), atol=1e-6)
    integers = np.random.default_rng(0).integers(0, 255, (40, 6)).astype("uint8")
    np.testing.assert_allclose(ours.predict(integers, verbose=0), theirs.predict(integers, verbose=0), atol=1e-5)


def test_frozen_layers_stay_as_they_are():
    ours, theirs = pair(tanh_network)
    x, y = data()
    for model in (theirs, ours):
        model.layers[1].trainable = False
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(x, y, epochs=2, shuffle=False, verbose=0)
    ours.layers[1].trainable = True
    with pytest.warns(UserWarning, match="compile"):
        ours.fit(x, y, verbose=0, epochs=0)
    ours.layers[1].trainable = False
    assert len(ours.trainable_weights) == 4
    assert len(ours.non_trainable_weights) == 2
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_metrics_by_name_function_and_object():
    def hits(y_true, y_pred):
        return minikeras.metrics.sparse_categorical_accuracy(y_true, y_pred)

    x, y = data()
    model = tanh_network(minikeras)
    for given, name in [
        ("accuracy", "accuracy"),
        (["acc"], "acc"),
        ([hits], "hits"),
        (minikeras.metrics.SparseCategoricalAccuracy(), "sparse_categorical_accuracy"),
        ([minikeras.metrics.SparseCategoricalAccuracy(name="mine")], "mine"),
    ]:
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=given)
        values = model.evaluate(x, y, verbose=0, return_dict=True)
        assert list(values) == sorted(["loss", name])
        assert values[name] == pytest.approx((model.predict(x, verbose=0).argmax(1) == y).mean())


def test_a_loss_of_ones_own():
    class Quartic(minikeras.losses.Loss):
        def call(self, y_true, y_pred):
            return ((y_pred - y_true) ** 4).mean(axis=-1)

        def gradient(self, y_true, y_pred):
            return 4 * (y_pred - y_true) ** 3 / y_pred.shape[-1]

    generator = np.random.default_rng(0)
    minikeras.testing.check_loss_gradients(Quartic(), generator.normal(size=(5, 3)), generator.normal(size=(5, 3)))
    model = minikeras.Sequential([minikeras.Input((2,)), minikeras.layers.Dense(3)])
    model.compile("sgd", Quartic())
    x = generator.normal(size=(50, 2))
    losses = model.fit(x, x @ np.ones((2, 3)), epochs=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_same_seed_same_run():
    def run():
        minikeras.utils.set_random_seed(7)
        model = minikeras.Sequential(
            [minikeras.layers.Dense(8, activation="relu"), minikeras.layers.Dropout(0.5), minikeras.layers.Dense(4)]
        )
        model.compile("adam", minikeras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(*data(), epochs=2, verbose=0)
        return np.concatenate([w.ravel() for w in model.get_weights()]).tobytes()

    assert run() == run()


def test_copies_are_models_of_their_own():
    x, y = data()
    model = tanh_network(minikeras)
    model.add(minikeras.layers.ReLU(negative_slope=0.1))
    model.add(minikeras.layers.Dense(4, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, verbose=0)
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    before = model.get_weights()
    for twin in copies:
        twin.fit(x, y, shuffle=False, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.fit(x, y, shuffle=False, verbose=0)
    for twin in copies:
        for a, b in zip(twin.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_evaluate_in_mid_training_changes_nothing():
    """Caches belong to the call, so a validation between two steps leaves no trace."""
    x, y = data()

    def run(peek):
        minikeras.utils.set_random_seed(3)
        model = tanh_network(minikeras)
        model.compile("adam", "sparse_categorical_crossentropy")
        callback = minikeras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: model.predict(x[:5], verbose=0) if peek else None
        )
        model.fit(x, y, epochs=1, verbose=0, callbacks=[callback])
        return model.get_weights()

    for a, b in zip(run(True), run(False), strict=True):
        np.testing.assert_array_equal(a, b)


class Watching(minikeras.callbacks.Callback):
    """Reads the accuracy after every batch, from the metric itself."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(self.model.metrics[1].result())


def test_accuracy_counts_later_and_shows_no_difference():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(50, 4)).astype("float32"), rng.integers(0, 3, 50)

    def history(*data, epochs=2, **options):
        minikeras.utils.set_random_seed(1)
        model = minikeras.Sequential([minikeras.Input((4,)), minikeras.layers.Dense(3, "softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model.fit(*data, epochs=epochs, verbose=0, **options).history["accuracy"]

    watching = Watching()
    expected = history(x, y, batch_size=7, shuffle=False)
    assert history(x, y, batch_size=7, shuffle=False, callbacks=[watching]) == expected
    assert watching.seen[7::8] == expected
    assert len(set(map(float, watching.seen))) > 4

    def batches_in_one_buffer():
        bx, by = np.empty((7, 4), "float32"), np.empty(7, int)
        for i in range(0, 50, 7):
            n = len(x[i : i + 7])
            bx[:n], by[:n] = x[i : i + 7], y[i : i + 7]
            yield bx[:n], by[:n]

    assert history(batches_in_one_buffer(), epochs=1) == expected[:1]
    assert history(batches_in_one_buffer(), epochs=1, validation_data=(x, y)) == expected[:1]
