"""One and several outputs and inputs: what losses, metrics, targets and inputs may look like, live against Keras."""

import warnings
from collections import namedtuple

import numpy as np
import pytest

import minikeras
from minikeras.common.tree import flatten

pytestmark = pytest.mark.filterwarnings("ignore:Gradients do not exist")  # Keras's, of outputs without a loss

Point = namedtuple("Point", ["x", "y"])

X = np.arange(12).reshape(4, 3) / 10
TARGETS = [np.full((4, 1), value) for value in (0.5, 0.25, -1.0, 2.0)]

STRUCTURES = {
    "one": lambda o: o[0],
    "list of one": lambda o: [o[0]],
    "dictionary of one": lambda o: {"a": o[0]},
    "list": lambda o: [o[0], o[1]],
    "tuple": lambda o: (o[0], o[1]),
    "dictionary": lambda o: {"b": o[0], "a": o[1]},
    "deep": lambda o: {"a": o[0], "b": {"c": o[1], "d": [o[2], o[3]]}},
    "list with a tuple": lambda o: [o[0], (o[1], o[2])],
    "named": lambda o: {"a": Point(o[0], o[1]), "b": o[2]},
}

#: structure, and the arguments of `compile`, of which `y` is what `fit` gets.
CASES = [
    ("one", {"loss": ["mse"], "metrics": [["mae", "mse"]]}),
    ("one", {"loss": {"p": "mse"}, "metrics": {"p": ["mae"]}, "loss_weights": [2.0]}),
    ("list of one", {"loss": {"p": ["mse"]}, "metrics": {"p": ["mae", "mse"]}, "loss_weights": 2.0}),
    ("dictionary of one", {"loss": "mse", "metrics": ["mae"], "weighted_metrics": ["mae"]}),
    ("dictionary of one", {"loss": {"a": ["mse"]}, "metrics": {"a": ["mae", "mse"]}}),
    ("dictionary of one", {"loss": ["mse"], "y": TARGETS[0]}),
    ("list", {"loss": [["mse"], ["mae"]], "metrics": ["mae", ["mse", "mae"]]}),
    ("list", {"loss": ["mse", ["mae"]], "loss_weights": [0.1, 2]}),
    ("list", {"loss": {"q": "mse", "p": "mae"}, "metrics": {"q": ["mae"]}, "loss_weights": {"q": 1, "p": 2}}),
    ("list", {"loss": "mse", "loss_weights": 2.0, "weighted_metrics": [["mae"], None]}),
    ("list", {"loss": ["mse", None], "y": TARGETS[0]}),
    ("list", {"loss": [None, "mse"], "y": TARGETS[1]}),
    ("tuple", {"loss": ["mse", "mae"], "metrics": (["mae"], "mse")}),
    ("dictionary", {"loss": {"b": ["mse"], "a": "mae"}, "metrics": {"a": ["mae"]}}),
    ("dictionary", {"loss": {"a": "mse"}, "metrics": {"a": "mae"}}),
    ("dictionary", {"loss": ["mse", "mae"]}),
    ("deep", {"loss": "mse", "metrics": {"a": ["mae"], "b": {"c": None, "d": [["mae", "mse"], None]}}}),
    ("deep", {"loss": {"a": "mse", "b": {"c": "mae", "d": ["mse", "mae"]}}, "loss_weights": [1, 2, 3, 4]}),
    ("deep", {"loss": {"b": {"c": "mae"}}}),
    ("deep", {"loss": ["mse", "mae", "mse", "mae"]}),
    ("deep", {"loss": "mse", "y": TARGETS}),
    ("list with a tuple", {"loss": ["mse", ("mae", "mse")], "metrics": ["mse", (["mae"], ["mse"])]}),
    ("list with a tuple", {"loss": ["mse", "mae", "mse"]}),
    ("named", {"loss": {"a": Point("mse", "mae"), "b": "mse"}}),
    ("named", {"loss": {"a": ["mse", "mae"]}}),
]

#: What both refuse; a sentence of Keras's that both begin with, and None where ours says more than its internals do.
REFUSED = [
    ("list", {"loss": {"p": "mse", "r": "mse"}}, r"Expected keys \['p', 'q'\] in loss dict, but found"),
    ("one", {"loss": {"p": "mse", "q": "mse"}}, r"Expected keys \['p'\] in loss dict, but found"),
    ("dictionary", {"loss": {"a": "mse", "c": "mse"}}, "can't be found in either the model's output"),
    ("list", {"loss": "mse", "metrics": {"r": ["mae"]}}, "(?s)Invalid `metrics`.*'r'"),
    ("dictionary", {"loss": "mse", "metrics": {"c": ["mae"]}}, "(?s)Invalid `metrics`.*'c'"),
    ("deep", {"loss": "mse", "weighted_metrics": {"a": ["mae"], "z": ["mae"]}}, "Invalid `weighted_metrics`"),
    ("list", {"loss": [None, None]}, "No loss to compute"),
    ("list", {"loss": {"p": "mse", "q": "mse"}, "loss_weights": [1.0, 2.0, 3.0]}, None),
    ("list", {"loss": "mse", "y": TARGETS[:1]}, None),
    ("one", {"loss": "mse", "y": TARGETS[:2]}, None),
]


def model_of(k, structure):
    symbol = k.Input((3,), name="i")
    outputs = [
        k.layers.Dense(1, kernel_initializer=k.initializers.Constant(0.1 * (i + 1)), name=name)(symbol)
        for i, name in enumerate("pqrs")
    ]
    return k.Model(symbol, STRUCTURES[structure](outputs))


def fitted(k, structure, arguments):
    """Return the history, and what `evaluate` answers, of a model with these outputs."""
    model, arguments = model_of(k, structure), dict(arguments)
    y = arguments.pop("y", STRUCTURES[structure](TARGETS))
    model.compile("sgd", run_eagerly=True, **arguments)
    history = model.fit(X, y, epochs=2, verbose=0).history
    return history, model.evaluate(X, y, verbose=0, return_dict=True)


@pytest.mark.parametrize(("structure", "arguments"), CASES, ids=[f"{i}-{s}" for i, (s, _) in enumerate(CASES)])
def test_histories_have_the_names_and_numbers_of_keras(structure, arguments):
    import keras

    (mine, evaluated), (others, expected) = fitted(minikeras, structure, arguments), fitted(keras, structure, arguments)
    assert mine.keys() == others.keys()
    for name in others:
        np.testing.assert_allclose(mine[name], others[name], rtol=1e-5, atol=1e-6, err_msg=name)
    assert list(evaluated) == list(expected)
    np.testing.assert_allclose(list(evaluated.values()), list(expected.values()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("structure", "arguments", "sentence"), REFUSED)
def test_what_belongs_to_no_output_is_refused_in_the_words_of_keras(structure, arguments, sentence):
    import keras

    with pytest.raises((ValueError, KeyError)) as theirs:
        fitted(keras, structure, arguments)
    if sentence is not None:
        theirs.match(sentence)
    with pytest.raises(theirs.type if sentence else ValueError, match=sentence):
        fitted(minikeras, structure, arguments)


@pytest.mark.parametrize("structure", ["list", "deep"])
def test_several_losses_of_one_output_are_added_up(structure):
    several = ["mse", "mae"]
    loss = [several, "mse"] if structure == "list" else {"a": several, "b": {"c": "mse", "d": ["mse", "mse"]}}
    history, _ = fitted(minikeras, structure, {"loss": loss})
    first = "p_loss" if structure == "list" else "a_loss"
    alone = [fitted(minikeras, "one", {"loss": one})[0]["loss"][0] for one in several]
    np.testing.assert_allclose(history[first][0], sum(alone), rtol=1e-6)
    np.testing.assert_allclose(history["loss"][0], sum(v[0] for n, v in history.items() if n != "loss"), rtol=1e-5)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_outputs_have_their_form_also_after_a_config(structure):
    import keras

    def form(value):
        if isinstance(value, dict):
            return {key: form(part) for key, part in value.items()}
        return (type(value).__name__, *map(form, value)) if isinstance(value, (list, tuple)) else "array"

    found = []
    for k in (minikeras, keras):
        model = model_of(k, structure)
        again = type(model).from_config(model.get_config())
        assert len(flatten(again.output)) == len(flatten(model.output))
        found.append([form(m.predict(X, verbose=0)) for m in (model, again)])
    assert found[0] == found[1]


def two_inputs(k, form):
    a, b = k.Input((2,), name="a"), k.Input((2,), name="b")
    return k.Model(form(a, b), k.layers.Subtract()([a, b]))


ARRAYS = np.ones((4, 2), "float32"), np.full((4, 2), 3, "float32")

#: The form of the inputs, what is given, and whether Keras warns (W), refuses (R) or takes it (T).
INPUTS = [
    (lambda a, b: [a, b], lambda a, b: (a, b), "T"),
    (lambda a, b: [a, b], lambda a, b: {"a": a, "b": b}, "T"),
    (lambda a, b: [a, b], lambda a, b: {"a": a, "c": b}, "R"),
    (lambda a, b: [a, b], lambda a, b: [a], "R"),
    (lambda a, b: {"a": a, "b": b}, lambda a, b: {"b": b, "a": a}, "T"),
    (lambda a, b: {"a": a, "b": b}, lambda a, b: [a, b], "W"),
    (lambda a, b: {"b": b, "a": a}, lambda a, b: [a, b], "R"),
    (lambda a, b: {"a": a, "b": b}, lambda a, b: {"a": a, "c": b}, "R"),
    (lambda a, b: {"c": a, "d": b}, lambda a, b: {"a": a, "b": b}, "R"),
    (lambda a, b: [a, [b]], lambda a, b: [a, [b]], "T"),
    (lambda a, b: {"x": [a, b]}, lambda a, b: {"x": [a, b]}, "T"),
]


@pytest.mark.parametrize(("form", "given", "outcome"), INPUTS)
def test_inputs_of_another_form_are_refused_or_warned_of_as_in_keras(form, given, outcome):
    import keras

    for k in (keras, minikeras):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = two_inputs(k, form)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if outcome == "R":
                with pytest.raises((ValueError, KeyError)):
                    model(given(*ARRAYS))
                continue
            y = model(given(*ARRAYS))
        np.testing.assert_array_equal(np.asarray(y), np.full((4, 2), -2))
        assert any("doesn't match the expected structure" in str(w.message) for w in caught) == (outcome == "W")


@pytest.mark.parametrize("default", [{}, {"sparse": False, "ragged": False}, {"optional": True}])
def test_what_an_input_says_of_itself_is_in_its_config(default):
    import keras

    mine, theirs = (k.layers.InputLayer((3,), name="i", **default).get_config() for k in (minikeras, keras))
    assert mine == {**theirs, "batch_shape": tuple(theirs["batch_shape"])}
    assert minikeras.layers.InputLayer.from_config(theirs).optional == default.get("optional", False)
