"""Files and configs of Keras 2: what it saved is loaded, computes as there, is trained on, and saved for Keras 3."""

import json
import lzma

import keras
import keras2_files
import numpy as np
import pytest

import minikeras
from minikeras import layers, models
from minikeras.common import keras_names
from minikeras.saving.keras2 import OPTIONS, new_form

# Keras converts its variables so when it writes a file.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

EXPECTED = json.loads((keras2_files.DATA / "expected.json").read_text())


def unpacked(name, folder):
    path = folder / f"{name}.h5"
    path.write_bytes(lzma.decompress((keras2_files.DATA / f"{name}.h5.xz").read_bytes()))
    return path


def difference(found, expected):
    """Return the largest difference of arrays, or of those in two lists."""
    pairs = zip(found, expected, strict=True) if isinstance(found, list) else [(found, expected)]
    return max(np.abs(np.asarray(a) - b).max() for a, b in pairs)


def data(name):
    return keras2_files.data(*keras2_files.MODELS[name][1:])


@pytest.mark.parametrize("name", keras2_files.MODELS)
def test_a_file_of_keras_2_predicts_is_trained_on_and_saved_for_keras_3(name, tmp_path):
    keras = pytest.importorskip("keras")
    expected, (x, y) = EXPECTED[name], data(name)
    model = models.load_model(unpacked(name, tmp_path))
    assert difference(model.predict(x, verbose=0), expected["predictions"]) < 1e-6
    if "history" in expected:
        history = model.fit(x, y, batch_size=4, epochs=3, verbose=0, shuffle=False).history
        assert sorted(history) == sorted(expected["history"])
        for key, values in expected["history"].items():
            assert history[key] == pytest.approx(values, rel=1e-5, abs=1e-6), key
        assert difference(model.predict(x, verbose=0), expected["afterwards"]) < 1e-5
    else:
        model.compile("adam", "mse")
        model.fit(x, y, verbose=0)
    model.save(tmp_path / "new.keras")
    again = keras.models.load_model(tmp_path / "new.keras")
    assert difference(again.predict(x, verbose=0), model.predict(x, verbose=0)) < 1e-6


def test_the_model_of_teachable_machine_keeps_its_shape(tmp_path):
    model = models.load_model(unpacked("teachable_machine", tmp_path))
    assert [type(m).__name__ for m in (model, *model.layers)] == ["Sequential"] * 3
    assert model.layers[0].layers[0].name == "model1"
    assert model.predict(data("teachable_machine")[0][:1], verbose=0).shape == (1, 3)


def test_every_layer_of_the_file_is_one_of_ours():
    kinds = {
        *keras2_files.IMAGE_LAYERS,
        *["Embedding", "RepeatVector", "Add", "Multiply", "Average", "Maximum", "Minimum", "Subtract", "Dot"],
    }
    assert all(hasattr(layers, kind) for kind in kinds)


#: class -> old arguments -> what is there now
OLD = [
    ("BatchNormalization", {"axis": [3], "momentum": 0.9}, {"axis": 3, "momentum": 0.9}),
    ("BatchNormalizationV1", {"axis": [1], "fused": None, "renorm": False, "virtual_batch_size": None}, {"axis": 1}),
    ("BatchNormalizationV2", {"axis": -1, "adjustment": None}, {"axis": -1}),
    ("LayerNormalization", {"axis": [2]}, {"axis": 2}),
    ("DepthwiseConv2D", {"kernel_size": 3, "groups": 1}, {"kernel_size": (3, 3)}),
    ("Conv2DTranspose", {"filters": 2, "kernel_size": [3, 3], "groups": 1}, {"filters": 2}),
    ("SeparableConv2D", {"filters": 2, "kernel_size": 3, "groups": 1, "kernel_initializer": "zeros"}, {"filters": 2}),
    ("ReLU", {"max_value": [6.0]}, {"max_value": 6.0}),
    ("ReLU", {"max_value": 6, "negative_slope": {"type": "ndarray", "value": 0.5}}, {"negative_slope": 0.5}),
    ("LeakyReLU", {"alpha": 0.25}, {"negative_slope": 0.25}),
    ("LeakyReLU", {"alpha": {"type": "ndarray", "value": 0.25}}, {"negative_slope": 0.25}),
    ("ELU", {"alpha": [0.5]}, {"alpha": 0.5}),
    ("Softmax", {"axis": [-1]}, {"axis": -1}),
    ("Embedding", {"input_dim": 3, "output_dim": 2, "input_length": 7}, {"input_dim": 3}),
    ("SpatialDropout2D", {"rate": 0.5, "noise_shape": None, "trainable": True}, {"rate": 0.5}),
    ("Conv3DTranspose", {"filters": 2, "kernel_size": [3, 3, 3], "groups": 1}, {"filters": 2}),
    ("DepthwiseConv1D", {"kernel_size": 3, "groups": 1}, {"depth_multiplier": 1}),
    ("SeparableConv1D", {"filters": 2, "kernel_size": 3, "groups": 1, "kernel_initializer": "zeros"}, {"filters": 2}),
    ("SpatialDropout1D", {"rate": 0.5, "noise_shape": None, "trainable": True}, {"rate": 0.5}),
    ("SpatialDropout3D", {"rate": 0.5, "noise_shape": None, "trainable": True}, {"rate": 0.5}),
    ("InputLayer", {"batch_input_shape": [None, 3], "sparse": False, "ragged": False}, {"batch_shape": (None, 3)}),
    ("Dense", {"units": 3, "dtype": {"class_name": "Policy", "config": {"name": "float32"}}}, {"units": 3}),
]


@pytest.mark.parametrize(("kind", "old", "now"), OLD)
def test_an_option_of_old_configs_gets_its_new_form(kind, old, now):
    if kind in OPTIONS and not hasattr(layers, kind):
        pytest.skip("no such layer")
    layer = layers_of({"class_name": kind, "config": {"name": "old", **old}})
    config = layer.get_config()
    assert {name: config[name] for name in now} == now
    assert layer.name == "old"


def layers_of(config):
    from minikeras.common.serialization import deserialize

    return deserialize(new_form(config))


def test_every_layer_of_the_table_is_tried():
    tried = {kind for kind, _, _ in OLD}
    assert {kind for kind in OPTIONS if hasattr(layers, kind)} <= tried


@pytest.mark.parametrize(
    ("kind", "old", "word"),
    [
        ("DepthwiseConv2D", {"kernel_size": 3, "groups": 2}, "groups"),
        ("Conv2DTranspose", {"filters": 2, "kernel_size": 3, "groups": 2}, "groups"),
        ("BatchNormalization", {"renorm": True}, "renorm"),
        ("BatchNormalization", {"axis": [1, 2]}, "axis"),
    ],
)
def test_an_old_option_that_nobody_has_now_is_refused_by_name(kind, old, word):
    with pytest.raises(ValueError, match=word):
        layers_of({"class_name": kind, "config": old})


INITIALIZER = {"class_name": "GlorotUniform", "config": {"seed": 4, "dtype": "float32"}}
DENSE = {"class_name": "Dense", "config": {"name": "d", "units": 2, "kernel_initializer": INITIALIZER}}


def old_functional():
    return {
        "name": "m",
        "layers": [
            {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 3], "dtype": "float32", "name": "i"},
             "name": "i", "inbound_nodes": []},
            {**DENSE, "name": "d", "inbound_nodes": [[["i", 0, 0, {}]]]},
        ],
        "input_layers": [["i", 0, 0]],
        "output_layers": [["d", 0, 0]],
    }  # fmt: skip


@pytest.mark.parametrize("class_name", ["Model", "Functional"])
def test_configs_without_module_are_read(class_name):
    from_config = models.Model.from_config(old_functional())
    from_json = models.model_from_json(json.dumps({"class_name": class_name, "config": old_functional()}))
    for model in (from_config, from_json):
        assert [layer.name for layer in model.layers] == ["i", "d"]
        assert model.get_layer("d").kernel_initializer.seed == 4
        assert model.predict(np.ones((5, 3)), verbose=0).shape == (5, 2)


@pytest.mark.parametrize("as_list", [True, False])
def test_sequential_configs_without_module_are_read(as_list):
    old = [{"class_name": "Dense", "config": {**DENSE["config"], "batch_input_shape": [None, 3]}}]
    config = old if as_list else {"name": "s", "layers": old}
    for model in (
        models.Sequential.from_config(config),
        models.model_from_json(json.dumps({"class_name": "Sequential", "config": config, "keras_version": "2.1.6"})),
    ):
        assert model.predict(np.ones((5, 3)), verbose=0).shape == (5, 2)


def test_a_class_of_keras_is_not_asked_for_as_the_users_own():
    for config in (
        {"class_name": "LSTM", "config": {"units": 2}},
        {"module": "keras.layers", "class_name": "LSTM", "config": {"units": 2}, "registered_name": None},
        {"module": "keras.src.layers.rnn.lstm", "class_name": "LSTM", "config": {}, "registered_name": "LSTM"},
    ):
        if hasattr(layers, "LSTM"):
            config["class_name"] = "CuDNNLSTM"
        with pytest.raises(ValueError, match="Keras has it, this library has not") as caught:
            layers_of(config)
        assert "custom_objects" not in str(caught.value)
    with pytest.raises(ValueError, match="custom_objects"):
        layers_of({"module": "__main__", "class_name": "LSTM", "config": {}, "registered_name": "LSTM"})


def test_all_classes_of_keras_are_known_as_its_own():
    rooms = ["layers", "losses", "metrics", "optimizers", "initializers", "regularizers", "constraints"]
    named = {n for r in rooms for n, c in vars(getattr(keras, r)).items() if isinstance(c, type) and n[0].isupper()}
    bases = {"Layer", "Loss", "Metric", "Optimizer", "Initializer", "Regularizer", "Constraint", "InputSpec"}
    assert named - bases <= keras_names.CLASSES


def test_an_average_that_nobody_keeps_is_left_out():
    options = {"learning_rate": 0.5, "use_ema": False, "ema_overwrite_frequency": 100, "is_legacy_optimizer": False}
    config = {"class_name": "Custom>RMSprop", "config": {**options, "jit_compile": True}}
    assert float(minikeras.optimizers.deserialize(new_form(config, ("keras.optimizers",))).learning_rate) == 0.5


def test_a_decay_becomes_the_schedule_that_it_was():
    config = {"class_name": "SGD", "config": {"lr": 0.5, "decay": 0.1, "momentum": 0.0, "nesterov": False}}
    optimizer = minikeras.optimizers.deserialize(new_form(config, ("keras.optimizers",)))
    assert [optimizer.get_config()["learning_rate"]["config"][k] for k in ("decay_steps", "decay_rate")] == [1, 0.1]
    assert float(optimizer.learning_rate) == pytest.approx(0.5)
    optimizer.iterations.assign(5)
    assert float(optimizer.learning_rate) == pytest.approx(0.5 / 1.5)
