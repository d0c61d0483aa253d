"""Dropout: a layer against learning by heart.

In training, each output of the hidden layer is set to 0 with probability r = 0.3, drawn anew for every image, and the
others are multiplied by 1 / (1 - r), so that the sum expected by the next layer stays the same:

    y = x * keep / (1 - r)        keep = 1 with probability 1 - r, else 0

No unit can rely on another one being there.  Outside training (evaluate, predict) the layer does nothing: y = x.
The learner sees the layer at work on ten ones, then a network with it beside the same network without.  (The training
loss with dropout is that of the hampered network, so it lies higher, and may lie above the validation loss.)
"""

import course
import numpy as np

import minikeras as keras

options = course.arguments(__doc__, digits=40, fashion_mnist=20)
data = course.load(options.data)

keras.utils.set_random_seed(42)
layer, ones = keras.layers.Dropout(0.3), np.ones((1, 10), "float32")
print("ten ones, in training   ", np.array(layer(ones, training=True)).round(2)[0])
print("ten ones, in prediction ", np.array(layer(ones, training=False)).round(2)[0])


def trained(dropout):
    keras.utils.set_random_seed(42)
    layers = [keras.Input(data.shape), keras.layers.Flatten(), keras.layers.Dense(100, activation="relu")]
    layers += [keras.layers.Dropout(0.3)] if dropout else []
    model = keras.Sequential([*layers, keras.layers.Dense(10, activation="softmax")])
    adam = keras.optimizers.Adam(data.learning_rate)
    model.compile(adam, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    validation = (data.x_val, data.y_val)
    history = model.fit(data.x_train, data.y_train, epochs=options.epochs, validation_data=validation, verbose=0)
    return history.history, model.evaluate(data.x_test, data.y_test, verbose=0)


runs = {"without dropout": trained(False), "Dropout(0.3)": trained(True)}

print("\n                  training   validation loss            test")
print("                  loss       lowest   at the end        loss  accuracy")
for name, (history, (test_loss, test_accuracy)) in runs.items():
    losses = history["val_loss"]
    print(
        f"{name:<16} {history['loss'][-1]:8.4f}   {min(losses):8.4f} {losses[-1]:8.4f}      "
        f"{test_loss:8.4f} {test_accuracy:9.4f}"
    )

figure = course.new_figure("The same network without and with dropout", size=(9, 4.5))
for axes, (name, (history, _)) in zip(figure.subplots(1, 2, sharey=True), runs.items(), strict=True):
    curves = {
        "training images": (history["loss"], course.BLUE, "-"),
        "validation images": (history["val_loss"], course.ORANGE, "--"),
    }
    course.draw_curves(axes, curves, course.LOSS)
    axes.set_title(name)
    axes.label_outer()
    course.legend_below(axes)
axes.set_ylim(0, 1.1 * max(max(history["val_loss"]) for history, _ in runs.values()))
course.save(figure, "dropout")
