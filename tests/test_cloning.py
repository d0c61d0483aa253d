"""`clone_model` beside tf.keras: own classes, `clone_function`, `call_function`, what stays compiled."""

import keras
import numpy as np
import pytest

import minikeras

BOTH = [keras, minikeras]


def chain(k):
    return k.Sequential([k.Input((4,)), k.layers.Dense(3, name="a"), k.layers.Dense(2, name="b")], name="chain")


def graph(k):
    inputs = k.Input((4,), name="in")
    shared = k.layers.Dense(3, name="shared")
    first, second = shared(inputs), shared(k.layers.Dense(4, name="before")(inputs))
    inner = k.Sequential([k.Input((3,)), k.layers.Dense(3, name="deep")], name="inner")
    return k.Model(inputs, [k.layers.Add(name="sum")([first, second]), inner(first)], name="graph")


def own_dense(k):
    class MyDense(k.layers.Dense):
        def __init__(self, units, extra=1, **kwargs):
            super().__init__(units, **kwargs)
            self.extra = extra

        def get_config(self):
            return {**super().get_config(), "extra": self.extra}

    return MyDense


def both(what):
    """Return what Keras says, having checked that we say the same."""
    theirs, ours = map(what, BOTH)
    assert theirs == ours
    return ours


@pytest.mark.parametrize("make", [chain, graph])
def test_a_clone_stays_compiled(make):
    def what(k):
        model = make(k)
        before = k.models.clone_model(model).compiled
        loss, metrics = ("mse", ["mae"]) if make is chain else (["mse", "mae"], [["mae"], []])
        model.compile(k.optimizers.SGD(0.25), loss, metrics=metrics)
        clone = k.models.clone_model(model)
        again = clone.optimizer is model.optimizer
        return before, clone.compiled, again, float(clone.optimizer.learning_rate), clone.loss

    assert both(what)[:3] == (False, True, False)


@pytest.mark.parametrize("make", [chain, graph])
def test_a_clone_has_layers_and_weights_of_its_own(make):
    def what(k):
        model = make(k)
        clone = k.models.clone_model(model)
        assert not set(map(id, model.layers)) & set(map(id, clone.layers))
        assert not set(map(id, model.weights)) & set(map(id, clone.weights))
        x = np.random.default_rng(1).normal(size=(5, 4))
        clone.set_weights(model.get_weights())
        for a, b in zip(*(m.predict(x, verbose=0) for m in (model, clone)), strict=True):
            np.testing.assert_array_equal(a, b)
        return clone.name, [layer.name for layer in clone.layers], type(clone).__name__

    both(what)


@pytest.mark.parametrize("nested", [False, True])
def test_an_own_class_needs_no_registration(nested):
    def what(k):
        layer = own_dense(k)(3, extra=7, name="own")
        model = k.Sequential([k.Input((4,)), layer])
        if nested and k is minikeras:  # Keras doesn't find a class that is local to a function
            model = k.Sequential([model, k.layers.Dense(1)])
        clone = k.models.clone_model(model)
        found = clone.layers[0].layers[0] if nested and k is minikeras else clone.layers[0]
        return type(found).__name__, found.extra, found is layer

    assert both(what) == ("MyDense", 7, False)


def test_own_loss_and_metric_stay():
    def near(y_true, y_pred):
        return np.abs(y_true - y_pred).mean(-1)

    model = chain(minikeras)
    model.compile("sgd", minikeras.losses.MeanSquaredError(), metrics=[near])
    clone = minikeras.models.clone_model(model)
    clone.evaluate(np.ones((3, 4)), np.ones((3, 2)), verbose=0)
    assert clone.metrics_names == ["loss", "near"]
    assert clone.loss is not model.loss


def test_clone_function_replaces_layers():
    def what(k):
        def wider(layer):
            config = layer.get_config()
            if layer.name == "a" or layer.name == "shared":
                config["name"] = "other"
            return layer.__class__.from_config(config)

        clones = [k.models.clone_model(make(k), clone_function=wider) for make in (chain, graph)]
        return [[layer.name for layer in c.layers] for c in clones], [c.built for c in clones]

    names, built = both(what)
    assert names[0] == ["other", "b"]
    assert all(built)


def test_clone_function_that_shares_layers():
    def what(k):
        model = graph(k)
        clone = k.models.clone_model(model, clone_function=lambda layer: layer)
        return [a is b for a, b in zip(model.layers, clone.layers, strict=True)]

    assert any(both(what))


def test_call_function_adds_layers():
    def what(k):
        def call(layer, *args, **kwargs):
            outputs = layer(*args, **kwargs)
            return k.layers.Dropout(0.5, name=f"after_{layer.name}")(outputs) if layer.name == "sum" else outputs

        return [layer.name for layer in k.models.clone_model(graph(k), call_function=call).layers]

    assert "after_sum" in both(what)


def test_recursive_clones_go_through_clone_function():
    def what(k, recursive):
        seen = []

        def clone(layer):
            seen.append(layer.name)
            return layer.__class__.from_config(layer.get_config())

        k.models.clone_model(graph(k), clone_function=clone, recursive=recursive)
        return sorted(seen)

    assert "deep" in both(lambda k: what(k, True))
    assert "deep" not in both(lambda k: what(k, False))


def test_a_model_inside_that_has_no_shape_yet_is_cloned_too():
    def what(k):
        def flagged(layer):
            layer = layer.__class__.from_config(layer.get_config())
            layer.flag = True
            return layer

        model = k.Sequential([k.layers.Dense(3), k.Sequential([k.layers.Dense(2)], name="inner")])
        clone = k.models.clone_model(model, clone_function=flagged, recursive=True)
        return [hasattr(layer, "flag") for layer in (clone.layers[0], clone.layers[1], clone.layers[1].layers[0])]

    assert both(what) == [True, False, True]


def test_input_tensors():
    def what(k):
        x = k.Input((4,), name="mine")
        clones = [k.models.clone_model(make(k), input_tensors=x) for make in (chain, graph)]
        return [c.inputs[0] is x for c in clones], [c.input_shape for c in clones]

    assert both(what)[0] == [True, True]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda k: k.models.clone_model(chain(k), call_function=lambda layer, x: layer(x)),
        lambda k: k.models.clone_model(graph(k), input_tensors=[k.Input((4,)), k.Input((4,))]),
        lambda k: k.models.clone_model(chain(k), input_tensors=[k.Input((4,)), k.Input((4,))]),
        lambda k: k.models.clone_model(chain(k), clone_function="copy"),
        lambda k: k.models.clone_model(graph(k), input_tensors=3),
    ],
)
def test_what_keras_refuses(wrong):
    for k in BOTH:
        with pytest.raises((ValueError, TypeError)):
            wrong(k)
