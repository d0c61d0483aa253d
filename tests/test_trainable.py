"""What `trainable` decides is settled by `compile`, as in tf.keras; a graph that changes afterwards is noticed."""

import warnings

import keras
import numpy as np
import pytest

import minikeras

BOTH = (minikeras, keras)


def numbers(n=24, width=5, seed=1):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, width)).astype("float32"), generator.normal(size=(n, 1)).astype("float32")


def body(k, name="body"):
    return k.Sequential(
        [
            k.Input((5,)),
            k.layers.Dense(4, kernel_regularizer="l2", name="first"),
            k.layers.BatchNormalization(momentum=0.6, name="norm"),
            k.layers.Activation("tanh"),
            k.layers.Dense(1, name="last"),
        ],
        name=name,
    )


def compiled(k, model):
    model.compile(k.optimizers.SGD(0.1, momentum=0.5), "mse")
    return model


def fit(model, **options):
    x, y = numbers()
    return model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0, **options).history["loss"]


def losses_after(k, change):
    """Train, change what is trainable, and train on without and then with another `compile`."""
    model = compiled(k, body(k))
    losses = fit(model)
    change(model)
    losses += [*fit(model), model.evaluate(*numbers(seed=2), verbose=0)]
    compiled(k, model)
    losses += [*fit(model), model.evaluate(*numbers(seed=2), verbose=0)]
    return losses, model.get_weights()


def freeze(model):
    model.trainable = False
    model.layers[-1].trainable = True


def freeze_norm(model):
    model.get_layer("norm").trainable = False


def freeze_first(model):
    model.get_layer("first").trainable = False


def freeze_and_unfreeze(model):
    model.trainable = False
    model.trainable = True


def frozen_from_the_start(k):
    model = body(k)
    freeze(model)
    compiled(k, model)
    losses = fit(model)
    model.trainable = True
    losses += [*fit(model), model.evaluate(*numbers(seed=2), verbose=0)]
    compiled(k, model)
    return losses + fit(model), model.get_weights()


def frozen_before_the_first_step(k):
    model = compiled(k, body(k))
    model.trainable = False
    return fit(model), model.get_weights()


def adversaries(k, toggle):
    """The discriminator is compiled, then frozen inside the model that trains the generator."""
    generator = k.Sequential(
        [k.Input((3,)), k.layers.Dense(6, activation="tanh"), k.layers.BatchNormalization(), k.layers.Dense(5)],
        name="G",
    )
    judge = compiled(k, body(k, "D"))
    x, y = numbers()
    losses = [judge.train_on_batch(x, y)]
    judge.trainable = False
    inputs = k.Input((3,))
    both = compiled(k, k.Model(inputs, judge(generator(inputs))))
    z = numbers(24, 3, seed=4)[0]
    for _ in range(3):
        if toggle:
            judge.trainable = True
        losses += [judge.train_on_batch(x, y), judge.train_on_batch(generator.predict(z, verbose=0), 1 - y)]
        if toggle:
            judge.trainable = False
        losses.append(both.train_on_batch(z, y))
    return losses, [*generator.get_weights(), *judge.get_weights()]


def base_in_a_model(k):
    base = body(k, "base")
    base.trainable = False
    model = compiled(k, k.Sequential([base, k.layers.Dense(1)]))
    losses = fit(model)
    base.get_layer("last").trainable = True
    losses += fit(model)
    base.trainable = True
    compiled(k, model)
    return losses + fit(model), model.get_weights()


STORIES = {
    "all but the last are frozen": lambda k: losses_after(k, freeze),
    "the normalization is frozen": lambda k: losses_after(k, freeze_norm),
    "a layer with a penalty is frozen": lambda k: losses_after(k, freeze_first),
    "frozen and unfrozen": lambda k: losses_after(k, freeze_and_unfreeze),
    "frozen from the start": frozen_from_the_start,
    "frozen before the first step": frozen_before_the_first_step,
    "adversaries": lambda k: adversaries(k, False),
    "adversaries, switched": lambda k: adversaries(k, True),
    "a frozen base": base_in_a_model,
}


@pytest.mark.parametrize("story", STORIES)
def test_what_trainable_decides_is_settled_by_compile_as_in_keras(story):
    told = []
    for k in (keras, minikeras):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # both say that nothing, or another choice, is trained
            k.utils.set_random_seed(5)
            told.append(STORIES[story](k))
    (theirs, their_weights), (ours, our_weights) = told
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-5)
    for a, b in zip(our_weights, their_weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)


def test_a_change_after_compile_is_told():
    model = compiled(minikeras, body(minikeras))
    fit(model)
    model.trainable = False
    with pytest.warns(UserWarning, match="`trainable` was changed after `compile`"):
        fit(model)


def test_a_model_of_frozen_layers_says_so():
    for k in BOTH:
        model = compiled(k, body(k))
        model.trainable = False
        with pytest.warns(UserWarning, match="does not have any trainable weights"):
            fit(model)
        np.testing.assert_array_equal(np.asarray(model.get_layer("norm").moving_mean), 0)
        assert int(model.optimizer.iterations) == 0


# Graphs that change ---------------------------------------------------------------------------------------------------


def swapped(model):
    model.pop()
    model.add(minikeras.layers.Dense(1, name="new"))


def grown(model):
    model.add(minikeras.layers.Dense(1, name="new"))


def grown_inside(model):
    model.layers[0].add(minikeras.layers.Dense(1, name="new"))


def outer():
    return minikeras.Sequential([body(minikeras, "inner"), minikeras.layers.Activation("tanh")])


def functional():
    inputs = minikeras.Input((5,))
    return minikeras.Model(inputs, minikeras.layers.Activation("tanh")(body(minikeras, "inner")(inputs)))


def grown_within(model):
    model.get_layer("inner").add(minikeras.layers.Dense(1, name="new"))


CHANGES = {
    "a layer more": (lambda: body(minikeras), grown),
    "another last layer": (lambda: body(minikeras), swapped),
    "a layer more inside": (outer, grown_inside),
    "a layer more inside a functional model": (functional, grown_within),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("again", ["fit", "train_on_batch"])
def test_new_weights_are_not_left_out_but_ask_for_another_compile(change, again):
    make, alter = CHANGES[change]
    model = compiled(minikeras, make())
    fit(model)
    alter(model)
    weights = model.get_weights()
    before = [w.copy() for w in weights]
    x, y = numbers()
    with pytest.raises(ValueError, match=r"new/kernel.*call `compile` again"):
        model.train_on_batch(x, y) if again == "train_on_batch" else fit(model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert np.isfinite(model.evaluate(x, y, verbose=0))
    compiled(minikeras, model)
    fit(model)
    new = next(i for i, v in enumerate(model.weights) if v.path.endswith("new/kernel"))
    assert not np.array_equal(model.get_weights()[new], before[new])


def test_fewer_layers_train_on():
    model = compiled(minikeras, body(minikeras))
    fit(model)
    model.pop()
    x, _ = numbers()
    first = model.get_layer("first").get_weights()[0]
    model.fit(x, x[:, :4], verbose=0)
    assert not np.array_equal(first, model.get_layer("first").get_weights()[0])


def test_a_callback_that_adds_a_layer_is_noticed_in_the_next_epoch():
    model = compiled(minikeras, body(minikeras))
    adding = minikeras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: grown(model) if epoch == 0 else None)
    with pytest.raises(ValueError, match="call `compile` again"):
        fit(model, callbacks=[adding])


def test_a_callback_that_takes_a_layer_trains_and_validates_the_others():
    model = body(minikeras)
    model.add(minikeras.layers.Dense(1, name="more"))
    taking = minikeras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: model.pop() if epoch == 0 else None)
    compiled(minikeras, model)
    x, y = numbers()
    history = model.fit(x, y, epochs=2, validation_split=0.5, verbose=0, callbacks=[taking]).history
    assert len(model.layers) == 4
    assert history["val_loss"][-1] == pytest.approx(model.evaluate(x[12:], y[12:], verbose=0), rel=1e-6)


def test_an_inner_model_of_another_shape_is_refused_by_name():
    model = functional()
    model.get_layer("inner").add(minikeras.layers.Dense(7))
    with pytest.raises(ValueError, match=r"'inner' has changed.*\(None, 7\).*\(None, 1\)"):
        model.predict(numbers()[0], verbose=0)


# A Sequential whose first layer has an input --------------------------------------------------------------------------


@pytest.mark.parametrize("by_add", [False, True])
@pytest.mark.parametrize("kind", ["Sequential", "Functional"])
def test_a_sequential_takes_its_input_from_a_model_in_the_first_place(kind, by_add):
    told = []
    for k in BOTH:
        inputs = k.Input((8, 8, 3))
        base = k.Model(inputs, k.layers.Conv2D(4, 3)(inputs))
        if kind == "Sequential":
            base = k.Sequential([k.Input((8, 8, 3)), k.layers.Conv2D(4, 3)])
        layers = [base, k.layers.Flatten(), k.layers.Dense(3)]
        model = k.Sequential([] if by_add else layers)
        if by_add:
            for layer in layers:
                model.add(layer)
        config = model.get_config()
        names = [layer["class_name"] for layer in config["layers"]]
        told.append((model.built, model.count_params(), len(model.get_weights()), model.input_shape, names))
    assert told[0] == told[1]


def test_a_layer_that_does_not_fit_leaves_a_sequential_as_it_was():
    model = body(minikeras)
    with pytest.raises(ValueError, match="incompatible"):
        model.add(minikeras.layers.Conv2D(2, 3))
    assert model.built
    assert [layer.name for layer in model.layers][-1] == "last"
    assert model.predict(numbers()[0], verbose=0).shape == (24, 1)
