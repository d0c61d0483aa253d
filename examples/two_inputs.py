"""Two inputs, two outputs: are these two images of the same kind, and of which is the first?

    a, b = eye(left), eye(right)                                 one network looks at both: its weights are shared
    same = sigmoid(w . [(a - b)^2, a b] + c)                     what differs, and what both have, side by side
    kind = softmax(a W + d)
    loss = crossentropy(same) + 0.5 crossentropy(kind)

A chain of layers has one way through.  In the functional style a layer, or a whole model such as `eye`, is called on
symbols, as often as wanted, and keras.Model(inputs, outputs) is what lies between.  The gradients of both ways through
`eye` and of both losses add up in its weights.  The learner gives data, losses and metrics by name, finds each output's
loss and accuracy in the history, and sees the two ways meet in the picture of the model.
"""

import course
import numpy as np

import minikeras as keras

options = course.arguments(__doc__, digits=20, fashion_mnist=5)
data = course.load(options.data)
keras.utils.set_random_seed(42)
generator = np.random.default_rng(42)


def pairs(x, y, times):
    """Return pairs of images and what is asked about them: half get a partner of their kind, the others any."""
    first = np.tile(np.arange(len(x)), times)
    second = generator.integers(0, len(x), len(first))
    alike = generator.random(len(first)) < 0.5
    for kind in np.unique(y):
        rows = np.flatnonzero(alike & (y[first] == kind))
        second[rows] = generator.choice(np.flatnonzero(y == kind), len(rows))
    x = x[..., np.newaxis]
    return {"left": x[first], "right": x[second]}, {"same": np.float32(y[first] == y[second]), "kind": y[first]}


times = 5 if options.data == "digits" else 1
train, validation, test = (
    pairs(x, y, times) for x, y in ((data.x_train, data.y_train), (data.x_val, data.y_val), (data.x_test, data.y_test))
)

eye = keras.Sequential(
    [
        keras.Input((*data.shape, 1)),
        keras.layers.Conv2D(16, kernel_size=3, activation="relu", padding="same"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Flatten(),
        keras.layers.Dense(32, activation="relu"),
    ],
    name="eye",
)
left = keras.Input((*data.shape, 1), name="left")
right = keras.Input((*data.shape, 1), name="right")
a, b = eye(left), eye(right)
difference = keras.layers.Subtract(name="difference")([a, b])
apart = keras.layers.Multiply(name="apart")([difference, difference])
common = keras.layers.Multiply(name="common")([a, b])
evidence = keras.layers.Concatenate(name="evidence")([apart, common])
same = keras.layers.Dense(1, activation="sigmoid", name="same")(evidence)
kind = keras.layers.Dense(10, activation="softmax", name="kind")(a)

model = keras.Model(inputs={"left": left, "right": right}, outputs={"same": same, "kind": kind})
model.compile(
    optimizer="adam",
    loss={"same": "binary_crossentropy", "kind": "sparse_categorical_crossentropy"},
    loss_weights={"same": 1.0, "kind": 0.5},
    metrics={"same": ["accuracy"], "kind": ["accuracy"]},
)
print(f"weights: {model.count_params():,}, of which {eye.count_params():,} look at both images")
history = model.fit(*train, epochs=options.epochs, validation_data=validation, verbose=0).history

print("epoch   loss     same: loss  accuracy     kind: loss  accuracy      (validation)")
for epoch in sorted({0, len(history["loss"]) // 2, len(history["loss"]) - 1}):
    names = ("loss", "same_loss", "same_accuracy", "kind_loss", "kind_accuracy")
    numbers = [history[f"val_{name}"][epoch] for name in names]
    print("{:5d} {:6.4f} {:14.4f} {:9.4f} {:14.4f} {:9.4f}".format(epoch + 1, *numbers))
results = model.evaluate(*test, verbose=0, return_dict=True)
print(f"\nTest pairs: {results['same_accuracy']:.4f} told rightly apart or together, loss {results['same_loss']:.4f}")
print(f"First images: {results['kind_accuracy']:.4f} named rightly, loss {results['kind_loss']:.4f}")

keras.utils.plot_model(
    model, course.path("two_inputs_model"), show_shapes=True, show_layer_names=True, expand_nested=True, dpi=100
)

figure = course.new_figure("Two images, one eye: the same kind or not?", size=(10, 7.5))
top, bottom = figure.subfigures(2, 1, height_ratios=(5, 4))
for axes, output, title in zip(
    top.subplots(1, 2), ("same", "kind"), ("the same kind or not", "the kind of the first image"), strict=True
):
    curves = {
        "training pairs": (history[f"{output}_accuracy"], course.BLUE, "-"),
        "validation pairs": (history[f"val_{output}_accuracy"], course.ORANGE, "--"),
    }
    course.draw_curves(axes, curves, "accuracy (share of pairs)")
    axes.set_title(title)
    course.legend_below(axes)

# Of 12 pairs at most 6 are mistakes, so that the picture shows both.
sure = model.predict(test[0], verbose=0)["same"][:, 0]
right_answer = (sure > 0.5) == test[1]["same"]
wrong = np.flatnonzero(~right_answer)[:6]
shown = np.concatenate([np.flatnonzero(right_answer)[: 12 - len(wrong)], wrong])
for axes, i in zip(bottom.subplots(2, 6).flat, shown, strict=True):
    images = [test[0][name][i, ..., 0] for name in ("left", "right")]
    gap = np.full((len(images[0]), 1), 0.5)
    axes.imshow(np.hstack([images[0], gap, images[1]]), cmap="gray_r")
    axes.set(xticks=[], yticks=[])
    axes.set_title(f"same: {100 * sure[i]:.0f}%", fontsize=9, color="black" if right_answer[i] else course.ORANGE)
bottom.supxlabel("how surely a pair is taken for one kind: rightly (black), wrongly (orange)", fontsize=9)
course.save(figure, "two_inputs")
