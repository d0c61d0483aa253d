"""What is set as an attribute of a layer or model belongs to it: weights, files and names are those of Keras."""

import copy
import json
import pickle
import zipfile

import h5py
import keras
import numpy as np
import pytest

import minikeras

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Gradients do not exist"),
]

X = np.random.default_rng(0).random((6, 3)).astype("float32")
Y = np.random.default_rng(1).random((6, 2)).astype("float32")


def classes(k):
    """Return the same classes in either library: a layer that holds layers, and a model with a `call`."""
    D = k.layers.Dense

    class Block(k.layers.Layer):
        def __init__(self, units=3, **options):
            super().__init__(**options)
            self.hidden, self._parts = D(units, activation="relu"), [D(4), (D(units), {"b": D(2), "a": [D(2)]})]
            self.again = self.hidden
            self.units = units

        def build(self, input_shape):
            self.mean = self.add_weight(shape=(2,), trainable=False, initializer="zeros", name="mean")
            self.scale = self.add_weight(shape=(self.units,), initializer="ones", name="scale")
            self.hidden.build(input_shape)
            first, (second, others) = self._parts
            for layer, size in ((first, self.units), (second, 4), (others["b"], 2), (others["a"][0], 2)):
                layer.build((None, size))

        def call(self, x):
            return self._parts[1][0](self._parts[0](self.hidden(x))) * self.scale

        def compute_output_shape(self, input_shape):
            return (*input_shape[:-1], self.units)

        def forward(self, x, training):
            caches = []
            for layer in (self.hidden, self._parts[0], self._parts[1][0]):
                x, cache = layer.forward(x, training)
                caches.append(cache)
            return x * self.scale.value, (caches, x)

        def backward(self, dy, cache):
            caches, y = cache
            self.scale.gradient += (dy * y).sum(axis=0)
            dy = dy * self.scale.value
            layers = (self.hidden, self._parts[0], self._parts[1][0])
            for layer, kept in zip(layers[::-1], caches[::-1], strict=True):
                dy = layer.backward(dy, kept)
            return dy

    class Net(k.Model):
        def __init__(self, width=4, **options):
            super().__init__(**options)
            self.zz, self.blocks = D(width, activation="relu"), [D(3), D(5)]
            self._last = D(2)
            self.pre = k.Sequential([D(3), k.layers.BatchNormalization()])
            self.drop = k.layers.Dropout(0.0)
            self.width = width

        def get_config(self):
            return {**super().get_config(), "width": self.width}

        def call(self, x, training=None):
            x = self.pre(x, training=training)
            for block in self.blocks:
                x = block(x)
            return self._last(self.drop(self.zz(x), training=training))

    return Block, Net


BLOCK, NET = zip(classes(keras), classes(minikeras), strict=True)


def fresh(k):
    (keras.backend if k is keras else minikeras.utils).clear_session()
    k.utils.set_random_seed(1)


def with_block(k, block, net):
    return k.Sequential([k.Input((3,)), block(), k.layers.Dense(2)], name="m")


def own_model(k, block, net):
    model = net(name="m")
    model(X)
    return model


def model_as_layer(k, block, net):
    inputs = k.Input((3,))
    return k.Model(inputs, k.layers.Dense(2)(net(name="inner")(k.layers.Dense(3)(inputs))), name="m")


def with_extras(k, block, net):
    class Extra(k.Model):
        def __init__(self):
            inputs = k.Input((3,))
            self.first = k.layers.Dense(2)
            super().__init__(inputs, self.first(inputs), name="m")
            self.more = [k.layers.Dense(4)]
            self.more[0].build((None, 3))

    return Extra()


MODELS = {f.__name__: f for f in (with_block, own_model, model_as_layer, with_extras)}


def both(name):
    models = []
    for i, k in enumerate((keras, minikeras)):
        fresh(k)
        models.append(MODELS[name](k, BLOCK[i], NET[i]))
    models[1].set_weights(models[0].get_weights())
    return models


def known(k):
    i = int(k is minikeras)
    return {"Block": BLOCK[i], "Net": NET[i]}


def groups(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, o: found.update({name: o.shape if isinstance(o, h5py.Dataset) else None}))
    return {name: shape for name, shape in found.items() if "seed_generator" not in name}


@pytest.mark.parametrize("name", MODELS)
def test_weights_names_and_counts_are_those_of_keras(name):
    theirs, ours = both(name)
    for attribute in ("weights", "trainable_weights", "non_trainable_weights"):
        described = [[(v.path, tuple(v.shape)) for v in getattr(m, attribute)] for m in (theirs, ours)]
        assert described[0] == described[1]
    assert theirs.count_params() == ours.count_params()
    assert [layer.name for layer in theirs.layers] == [layer.name for layer in ours.layers]
    assert [type(layer).__name__ for layer in theirs.layers] == [type(layer).__name__ for layer in ours.layers]
    for m in (theirs, ours):
        m.trainable = False
    assert not ours.trainable_weights
    assert [w.trainable for w in ours.weights] == [w.trainable for w in theirs.weights]


@pytest.mark.parametrize("name", MODELS)
def test_files_hold_the_same_groups(name, tmp_path):
    theirs, ours = both(name)
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours.save_weights(tmp_path / "ours.weights.h5")
    assert groups(tmp_path / "theirs.weights.h5") == groups(tmp_path / "ours.weights.h5")
    before = [v + 1 for v in ours.get_weights()]
    ours.set_weights(before)
    ours.load_weights(tmp_path / "theirs.weights.h5")
    theirs.set_weights(before)
    theirs.load_weights(tmp_path / "ours.weights.h5")
    for a, b, c in zip(ours.get_weights(), theirs.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c - 1, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Model 'm' had a build config")
@pytest.mark.parametrize("source", [keras, minikeras], ids=["from keras", "from minikeras"])
@pytest.mark.parametrize("name", ["with_block", "own_model", "model_as_layer"])
def test_whole_models_go_both_ways(name, source, tmp_path):
    theirs, ours = both(name)
    saved = theirs if source is keras else ours
    expected = theirs.predict(X, verbose=0)
    np.testing.assert_allclose(ours.predict(X, verbose=0), expected, atol=1e-5)
    saved.save(tmp_path / "m.keras")
    for k in (keras, minikeras):
        loaded = k.models.load_model(tmp_path / "m.keras", custom_objects=known(k))
        np.testing.assert_allclose(loaded.predict(X, verbose=0), expected, atol=1e-5)
        assert len(loaded.weights) == len(ours.weights)


@pytest.mark.parametrize("name", ["with_block", "model_as_layer"])
def test_layers_inside_are_trained_as_in_keras(name, tmp_path):
    models = both(name)
    histories = []
    for model in models:
        k = keras if model is models[0] else minikeras
        model.compile(k.optimizers.SGD(0.05, momentum=0.5), "mse")
        histories.append(model.fit(X, Y, epochs=3, batch_size=2, verbose=0, shuffle=False).history["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-5)
    for a, b in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    models[1].save(tmp_path / "m.keras")  # and goes on, with the optimizer's state
    again = minikeras.models.load_model(tmp_path / "m.keras", custom_objects=known(minikeras))
    losses = [m.fit(X, Y, batch_size=2, verbose=0, shuffle=False).history["loss"] for m in (*models, again)]
    np.testing.assert_allclose(losses[1:], [losses[0]] * 2, rtol=1e-5)


def filled(k):
    layer, D = k.layers.Layer(), k.layers.Dense
    layer.a, layer.b, layer.head = [], [], D(9)
    for i in range(2):
        layer.a.append(D(i + 1))
        layer.b.append(D(i + 11))
    layer.a.pop(0)
    layer.table = {"q": D(21)}
    layer.table["r"] = D(22)
    layer.table.update({"z": D(44)})
    layer.tuple = (D(31), [D(32)])
    layer.a += [D(41)]
    layer.a.extend([D(42)])
    layer.a.insert(0, D(43))
    del layer.a[0]
    layer.a.remove(layer.a[0])
    layer.table.pop("q")
    layer.head = D(10)
    return [inner.units for inner in layer._flatten_layers(include_self=False)]


def test_lists_and_dictionaries_tell_what_comes_and_goes():
    assert filled(minikeras) == filled(keras)


def variables(k):
    class Own(k.layers.Layer):
        def __init__(self):
            super().__init__()
            self.trained, self.fixed = k.Variable([1.0]), k.Variable([1.0, 2.0], trainable=False)
            self.several = [k.Variable([1.0, 2.0, 3.0])]
            self.mean, self.drop = k.metrics.Mean(name="mine"), k.layers.Dropout(0.5)
            self.generator = k.random.SeedGenerator(1)

    fresh(k)
    own = Own()
    return (
        [tuple(v.shape) for v in own.weights],
        [tuple(v.shape) for v in own.trainable_variables],
        [tuple(v.shape) for v in own.non_trainable_variables],
        [v.path for v in own.variables][3:],
        [m.name for m in own.metrics],
    )


def test_variables_metrics_and_generators_belong_to_a_layer_too():
    assert variables(minikeras) == variables(keras)


def test_a_built_layer_takes_nothing_more():
    messages = []
    for i, k in enumerate((keras, minikeras)):
        block, model = BLOCK[i](), NET[i]()
        block.build((None, 3))
        model(X)
        for action in (
            lambda k=k, block=block: setattr(block, "late", k.layers.Dense(2)),
            lambda block=block: block.add_weight(shape=(2,)),
            lambda k=k, model=model: model.blocks.append(k.layers.Dense(2)),
        ):
            with pytest.raises(ValueError, match="already built") as error:
                action()
            messages.append(str(error.value))
    assert messages[:3] == messages[3:]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_have_parts_of_their_own(copied):
    model = minikeras.Sequential([minikeras.Input((3,)), minikeras.layers.Dense(3)])
    model.blocks = [minikeras.layers.Dense(2)]
    twin = copied(model)
    twin.blocks.append(minikeras.layers.Dense(4))
    assert [layer.units for layer in twin.blocks] == [2, 4]
    assert [layer.units for layer in model.blocks] == [2]
    assert twin.blocks[0] is not model.blocks[0]


def test_a_build_that_fails_leaves_no_half():
    class Fails(minikeras.layers.Layer):
        fails = True

        def __init__(self):
            super().__init__()
            self.parts = []

        def build(self, input_shape):
            self.parts.append(minikeras.layers.Dense(2))
            self.w = self.add_weight(shape=(2,))
            if self.fails:
                raise RuntimeError("no")

    layer = Fails()
    with pytest.raises(RuntimeError, match="no"):
        layer.build((None, 3))
    layer.fails = False
    layer.build((None, 3))
    assert len(layer.weights) == len(layer.parts) == len(layer._flatten_layers(include_self=False)) == 1


def test_layers_inside_without_a_build_are_built_by_a_look_at_forward():
    class Pair(minikeras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.a, self.b = minikeras.layers.Dense(4), minikeras.layers.Dense(3)

        def forward(self, x, training):
            return self.b(self.a(x)), None

    model = minikeras.Sequential([minikeras.Input((3,)), Pair()])
    assert [v.shape for v in model.weights] == [(3, 4), (4,), (4, 3), (3,)]

    class Blind(Pair):
        def forward(self, x, training):
            return x, None

    with pytest.warns(UserWarning, match=r"looks like it has unbuilt state \(dense"):
        minikeras.Sequential([minikeras.Input((3,)), Blind()])


# Classes that write `call` --------------------------------------------------------------------------------------------


class Two(minikeras.Model):
    def __init__(self):
        super().__init__()
        self.a, self.b = minikeras.layers.Dense(1), minikeras.layers.Dense(2)

    def call(self, x):
        return {"first": self.a(x["x"]), "second": self.b(x["x"])}


def test_training_a_class_with_call_is_refused_before_anything_else_is_said():
    model = Two()
    x = {"x": np.ones((4, 3), "float32")}
    model(x)
    model.compile("sgd", {"first": "mse", "second": "mse"})
    for method in ("fit", "train_on_batch", "evaluate"):
        with pytest.raises(TypeError, match="class Two writes `call`, whose derivative is not known"):
            getattr(model, method)(x, [np.ones((4, 1)), np.ones((4, 2))])


def test_several_inputs_and_outputs_keep_their_form():
    inputs = minikeras.Input((3,))
    two = Two()
    outputs = two({"x": inputs})
    assert list(outputs) == ["first", "second"]
    model = minikeras.Model(inputs, outputs)
    assert [type(layer).__name__ for layer in model.layers] == ["InputLayer", "Two"]
    found = model.predict(X, verbose=0)
    np.testing.assert_allclose(found["second"], two({"x": X})["second"], atol=1e-6)
    assert two.compute_output_shape({"x": (None, 3)}) == {"first": (None, 1), "second": (None, 2)}


def test_what_a_call_does_only_in_training_is_not_left_out_silently():
    class Sometimes(minikeras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.drop = minikeras.layers.Dense(2), minikeras.layers.Dropout(0.5)

        def call(self, x, training=None):
            x = self.dense(x)
            return self.drop(x, training=True) if training else x

    inputs = minikeras.Input((3,))
    model = minikeras.Model(inputs, Sometimes()(inputs))
    assert model.predict(X, verbose=0).shape == (6, 2)
    model.compile("sgd", "mse")
    before = model.get_weights()
    with pytest.raises(TypeError, match="does something else where `training` is True"):
        model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_a_call_that_computes_itself_is_saved_and_read_back(tmp_path):
    class Halved(minikeras.Model):
        def __init__(self, units):
            super().__init__()
            self.dense = minikeras.layers.Dense(units)

        def call(self, x):
            return np.tanh(self.dense(x)) / 2

    model = Halved(2)
    expected = model(X)
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as file:
        assert json.loads(file.read("config.json"))["build_config"] == {"input_shape": [6, 3]}
    loaded = minikeras.models.load_model(tmp_path / "m.keras", custom_objects={"Halved": Halved})
    np.testing.assert_array_equal(loaded(X), expected)
    with pytest.raises(NotImplementedError, match="requires the model to be a Functional model"):
        model.save(tmp_path / "m.h5")


def test_expanded_tables_list_the_layers_of_a_model_inside():
    rows = []
    for model in both("model_as_layer"):
        lines = []
        model.summary(expand_nested=True, print_fn=lambda text, lines=lines, **_: lines.append(text), line_length=90)
        table = [line.split("│") for line in "\n".join(lines).splitlines() if line.startswith("│")]
        rows.append([(cells[1], cells[2].replace("?", "(None, 4)").strip()) for cells in table])  # of the Dropout
    assert rows[0] == rows[1]


# Configs --------------------------------------------------------------------------------------------------------------


def config_of(k, case):
    class Plain(k.layers.Layer):
        def __init__(self, units, rate=0.5, **kwargs):
            super().__init__(**kwargs)
            self.dense = k.layers.Dense(units)

    class Written(k.layers.Dense):
        def __init__(self, units, factor=2, **kwargs):
            super().__init__(units, **kwargs)
            self.f = factor

        def get_config(self):
            return {**super().get_config(), "factor": self.f}

    class Refused(k.layers.Layer):
        def __init__(self, thing, **kwargs):
            super().__init__(**kwargs)

    made = {
        "by position": lambda: Plain(3),
        "nested": lambda: Plain(units=[1, {"a": 2}][1]["a"], rate=None, name="q", trainable=False, dtype="float64"),
        "written": lambda: Written(3, 4, activation="relu"),
        "an object": lambda: Refused(object()),
        "built-in": lambda: k.layers.Dense(3),
    }[case]()
    config = made.get_config()
    again = type(made).from_config(config).get_config()
    assert again == config
    return config


@pytest.mark.parametrize("case", ["by position", "nested", "written", "built-in"])
def test_configs_hold_the_arguments_of_the_constructor(case):
    configs = []
    for k in (keras, minikeras):
        fresh(k)
        configs.append(config_of(k, case))
    assert configs[0] == configs[1]


def test_arguments_that_no_config_can_hold_are_refused_as_in_keras():
    for k in (keras, minikeras):
        with pytest.raises(
            NotImplementedError, match=r"(?s)passing.*non-serializable argument values in `__init__\(\)`"
        ):
            config_of(k, "an object")


def test_an_argument_counts_as_given_and_not_as_kept():
    class Wide(minikeras.layers.Dense):
        def __init__(self, units, factor=2, **kwargs):
            super().__init__(units * factor, **kwargs)

    again = Wide.from_config(Wide(3, factor=4, use_bias=False).get_config())
    assert (again.units, again.use_bias) == (12, False)


def test_a_constructor_that_takes_nothing_is_read_back(tmp_path):
    class Bare(minikeras.Model):
        def __init__(self):
            super().__init__()
            self.dense = minikeras.layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    model = Bare()
    expected = model(X)
    model.save(tmp_path / "m.keras")
    loaded = minikeras.models.load_model(tmp_path / "m.keras", custom_objects={"Bare": Bare})
    np.testing.assert_array_equal(loaded(X), expected)


def test_configs_of_keras_2_need_no_module():
    config = {
        "name": "m",
        "layers": [
            {
                "class_name": "InputLayer",
                "config": {"batch_shape": [None, 3], "dtype": "float32", "name": "i"},
                "name": "i",
                "inbound_nodes": [],
            },
            {
                "class_name": "Dense",
                "config": {"name": "d", "units": 2},
                "name": "d",
                "inbound_nodes": [[["i", 0, 0, {}]]],
            },
        ],
        "input_layers": [["i", 0, 0]],
        "output_layers": [["d", 0, 0]],
    }
    assert [layer.name for layer in minikeras.Model.from_config(config).layers] == ["i", "d"]


# What others ask of a layer -------------------------------------------------------------------------------------------

OPTIONS = {
    "Activation": ("relu",), "AveragePooling2D": (2,), "Conv2D": (2, 3), "Conv2DTranspose": (2, 3), "Dense": (2,),
    "DepthwiseConv2D": (3,), "Dot": (1,), "Dropout": (0.5,), "Embedding": (3, 2), "GaussianDropout": (0.5,),
    "GaussianNoise": (0.5,), "InputLayer": ((2,),), "MaxPooling2D": (2,), "Permute": ((2, 1),), "RepeatVector": (2,),
    "Rescaling": (2,), "Reshape": ((2,),), "SeparableConv2D": (2, 3), "SpatialDropout2D": (0.5,),
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [n for n in minikeras.layers.__all__ if isinstance(getattr(minikeras.layers, n), type)]
)
def test_every_layer_says_of_masks_and_types_what_keras_says(name):
    theirs, ours = (getattr(k.layers, name) for k in (keras, minikeras))
    a, b = (cls(*OPTIONS.get(ours.__name__, ())) for cls in (theirs, ours))
    for attribute in ("supports_masking", "dtype", "compute_dtype", "variable_dtype", "quantization_mode", "losses"):
        assert getattr(a, attribute) == getattr(b, attribute), attribute
    assert repr(a.dtype_policy) == repr(b.dtype_policy)


def test_a_class_that_writes_compute_mask_supports_masking():
    for k in (keras, minikeras):

        class Masked(k.layers.Layer):
            def compute_mask(self, inputs, previous_mask):
                return None

        assert (Masked().supports_masking, k.layers.Layer().supports_masking) == (True, False)
        layer = k.layers.Layer()
        layer.supports_masking = True
        assert layer.supports_masking
        assert layer.compute_mask(None, 5) == 5


def test_a_policy_is_a_dtype():
    for k in (keras, minikeras):
        layer = k.layers.Dense(2, dtype=k.DTypePolicy("float64"))
        assert (layer.dtype, layer.dtype_policy.name) == ("float64", "float64")
        assert layer.dtype_policy == k.DTypePolicy("float64") != k.DTypePolicy("float32")


def test_penalties_are_the_losses_of_a_layer_and_of_the_models_around():
    for k in (keras, minikeras):
        dense = k.layers.Dense(3, kernel_regularizer="l2", kernel_initializer="ones")
        model = k.Sequential([k.Input((2,)), dense, k.layers.Dense(1)])
        np.testing.assert_allclose([float(v) for v in (*model.losses, *dense.losses)], [0.06, 0.06], rtol=1e-6)


def shapes_in(tree):
    return {k: shapes_in(v) if isinstance(v, dict) else np.shape(v) for k, v in tree.items()}


def test_state_trees_are_those_of_keras():
    trees = []
    for k in (keras, minikeras):
        fresh(k)
        parts = [k.layers.Dense(3), k.layers.Dropout(0.5), k.layers.BatchNormalization(), k.layers.Dense(2)]
        model = k.Sequential([k.Input((3,)), *parts])
        model.compile("adam", "mse", metrics=["mae"])
        model.fit(X, Y, verbose=0)
        trees.append(model.get_state_tree("numpy_array"))
    assert shapes_in(trees[0]) == shapes_in(trees[1])
    model.set_state_tree(trees[0])
    for v, expected in zip(leaves(model.get_state_tree()), leaves(trees[0]), strict=True):
        np.testing.assert_array_equal(v, expected)
    before = model.get_weights()
    small = {"sequential": {"dense": {"kernel": np.ones(2)}}}
    for wrong in ({"weights": {}}, {"trainable_variables": {"x": 1.0}}, {"trainable_variables": small}):
        with pytest.raises(ValueError, match=r"Unknown variable name|no variable has the path|has shape \(3, 3\)"):
            model.set_state_tree(wrong)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(NotImplementedError, match="stateless_call"):
        model.stateless_call([], [], X)


def leaves(tree):
    return [leaf for k in sorted(tree) for leaf in (leaves(tree[k]) if isinstance(tree[k], dict) else [tree[k]])]


def test_a_fixed_batch_size_does_not_bind_the_data():
    for k in (keras, minikeras):
        model = k.Sequential([k.Input((3,), batch_size=4), k.layers.Dense(2)])
        model.compile("sgd", "mse")
        assert model.predict(X, batch_size=4, verbose=0).shape == (6, 2)
        assert len(model.fit(X, Y, batch_size=4, verbose=0).history["loss"]) == 1
        assert np.isfinite(model.evaluate(X, Y, batch_size=5, verbose=0))


@pytest.mark.parametrize("with_input", [False, True])
def test_a_chain_takes_other_sizes_where_its_layers_do(with_input):
    for k in (keras, minikeras):
        first = [k.Input((8, 8, 1))] if with_input else []
        model = k.Sequential([*first, k.layers.Conv2D(2, 3), k.layers.GlobalAveragePooling2D()])
        model(np.ones((2, 8, 8, 1), "float32"))
        assert tuple(model(np.ones((2, 9, 7, 1), "float32")).shape) == (2, 2)
        bound = k.Sequential([*first, k.layers.Flatten(), k.layers.Dense(2)])
        bound(np.ones((2, 8, 8, 1), "float32"))
        with pytest.raises(ValueError, match="ncompatible"):
            bound(np.ones((2, 9, 7, 1), "float32"))


def test_a_chain_without_an_input_takes_another_rank_and_trains_on():
    model = minikeras.Sequential([minikeras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
    model.fit(np.ones((4, 5, 3)), np.ones((4, 5, 1)), verbose=0)
    assert model.predict(np.ones((4, 5, 3)), verbose=0).shape == (4, 5, 1)


def test_an_activation_may_be_taken_away():
    for k in (keras, minikeras):
        dense = k.layers.Dense(1, use_bias=False, activation="relu", kernel_initializer="ones")
        dense.activation = None
        np.testing.assert_array_equal(dense(-np.ones((1, 2), "float32")), [[-2]])


def test_the_name_of_layers_is_taken():
    messages = []
    for k in (keras, minikeras):
        for model in (k.Sequential([k.Input((2,)), k.layers.Dense(1)]), classes(k)[1]()):
            with pytest.raises(AttributeError, match="is reserved") as error:
                model.layers = []
            messages.append(str(error.value))
    assert messages[:2] == messages[2:]


@pytest.mark.parametrize("k", [keras, minikeras], ids=["keras", "minikeras"])
def test_a_derived_build_may_go_on_where_its_base_has_ended(k):
    class Scaled(k.layers.Dense):
        def build(self, input_shape):
            super().build(input_shape)
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    layer = Scaled(2)
    layer.build((None, 3))
    assert [v.name for v in layer.weights] == ["kernel", "bias", "scale"]
    with pytest.raises(ValueError, match="cannot add new elements of state"):
        layer.late = k.layers.Dense(1)
