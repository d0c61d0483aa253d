"""Feature maps: what the filters of a convolutional network look for, and where they find it.

    map f of an image: y[i, j, f] = relu(b_f + sum over a, b, c of x[i + a, j + b, c] w[a, b, c, f])

A trained network can be opened.  Its weights are arrays: before training they are evenly spread small numbers, after it
some have grown, and filters show edges and strokes.  And keras.Model(model.inputs, model.layers[0].output), a model of
the first layers of another, shares their weights and returns what is usually hidden: one image per filter, bright where
the image has what the filter looks for.  The learner sees that the first convolution keeps the object's outline, and
that the second, on the pooled maps of the first, keeps places more than looks.

keras.plotting of minikeras draws such pictures at one call: filters, feature_maps, weight_histograms.
"""

import os
import tempfile

import course
import numpy as np

import minikeras as keras

options = course.arguments(__doc__, digits=20, fashion_mnist=5)
data = course.load(options.data)
keras.utils.set_random_seed(42)
x_train, x_val, x_test = (x[..., np.newaxis] for x in (data.x_train, data.x_val, data.x_test))

model = keras.Sequential(
    [
        keras.Input((*data.shape, 1)),
        keras.layers.Conv2D(32, kernel_size=3, activation="relu", padding="same"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Conv2D(64, kernel_size=3, activation="relu", padding="same"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Flatten(),
        keras.layers.Dense(100, activation="relu"),
        keras.layers.Dropout(0.4),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
before = model.layers[0].weights[0].numpy()

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "best-cnn-model.keras")
    checkpoint = keras.callbacks.ModelCheckpoint(path, save_best_only=True)
    early_stopping = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    model.fit(
        x_train,
        data.y_train,
        epochs=options.epochs,
        validation_data=(x_val, data.y_val),
        callbacks=[checkpoint, early_stopping],
        verbose=2,
    )
    model = keras.models.load_model(path)

loss, accuracy = model.evaluate(x_val, data.y_val, verbose=0)
print(f"best-cnn-model.keras: validation loss {loss:.4f}, accuracy {accuracy:.4f}\n")

conv = model.layers[0]
kernel = conv.weights[0].numpy()
print(f"{conv.name}: kernel {conv.weights[0].shape}, bias {conv.weights[1].shape}")
print("kernel               mean  deviation  smallest   largest")
for name, weights in (("before training", before), ("after training", kernel)):
    print(f"  {name:16s}{weights.mean():8.4f} {weights.std():10.4f} {weights.min():9.4f} {weights.max():9.4f}")

# The first test image is an ankle boot in Fashion-MNIST.
image, name = x_test[0:1], data.class_names[data.y_test[0]]
print(f"\nFeature maps of test image 0 ({name}):")
maps = []
for layer in (model.layers[0], model.layers[2]):
    activation = keras.Model(model.inputs, layer.output)
    maps.append(activation.predict(image, verbose=0)[0])
    zeros = np.mean(maps[-1] == 0)
    print(f"  {layer.name:10s} {maps[-1].shape}: from 0 to {maps[-1].max():.2f}, {zeros:.0%} of it 0")


def draw_grid(part, images, rows, label, **style):
    """Draw images side by side, close together, on one scale of colours."""
    part.figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, rect=(0.01, 0.01, 0.98, 0.97))
    panels = part.subplots(rows, -(-len(images) // rows))
    for axes, pixels in zip(panels.flat, images, strict=True):
        drawn = axes.imshow(pixels, **style)
        axes.set(xticks=[], yticks=[])
    brighter = images.max() > drawn.norm.vmax
    part.colorbar(drawn, ax=panels, label=label, aspect=30, extend="max" if brighter else "neither")


def channels(array):
    """Return the images in the last axis of an array."""
    return np.moveaxis(array, -1, 0)


figure = course.new_figure(f"The 32 filters of {conv.name}", size=(9, 6))
top, middle, bottom = figure.subfigures(3, 1, height_ratios=(2, 1, 1))
axes = top.subplots()
for label, weights, style in (
    ("before training", before, {"color": course.BLUE, "alpha": 0.5}),
    ("after training", kernel, {"color": course.ORANGE, "histtype": "step", "linewidth": 2}),
):
    reach = np.abs(kernel).max()
    axes.hist(weights.ravel(), bins=40, range=(-reach, reach), label=label, **style)
axes.set(xlabel="weight", ylabel="number of weights")
axes.legend(frameon=False)
for part, title, weights in ((middle, "before training", before), (bottom, "after training", kernel)):
    part.suptitle(title, fontsize=10)
    draw_grid(part, channels(weights[:, :, 0]), 2, "weight", cmap="RdBu_r", vmin=-reach, vmax=reach)
course.save(figure, "feature_maps_filters")

keras.utils.plot_model(model, course.path("feature_maps_model"), show_shapes=True, show_layer_names=True, dpi=100)

figure = course.new_figure(f"What two convolutions make of one image: {name}", size=(9, 7))
top, bottom = figure.subfigures(2, 1, height_ratios=(4, 3))
left, right = top.subfigures(1, 2, width_ratios=(1, 3))
axes = left.subplots()
axes.imshow(image[0, ..., 0], cmap="gray_r")
axes.set(xticks=[], yticks=[])
for part, output, layer in ((right, maps[0], model.layers[0]), (bottom, maps[1], model.layers[2])):
    part.suptitle(f"{layer.name}: {output.shape[2]} maps of {output.shape[0]} x {output.shape[1]}", fontsize=10)
    draw_grid(part, channels(output), 4, "output", vmin=0, vmax=np.quantile(output, 0.99))  # the others stay visible
course.save(figure, "feature_maps")
