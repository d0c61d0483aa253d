"""A convolutional network: look at a small window, slide it over the image, and use the same weights everywhere.

    Conv2D        y[i, j, f] = relu(b_f + sum over a, b, c of x[i + a, j + b, c] w[a, b, c, f])
    MaxPooling2D  y[i, j, c] = the largest of the 2 x 2 cells x[2i .. 2i + 1, 2j .. 2j + 1, c]

A 3 x 3 kernel has 9 weights per channel, whatever the size of the image, and finds its pattern wherever that stands;
pooling keeps the strongest answer of each neighbourhood and halves height and width.  The learner follows the shapes
through the summary, trains, and looks at what the network says about images it never saw.
"""

import course
import numpy as np

import minikeras as keras

options = course.arguments(__doc__, digits=20, fashion_mnist=5)
data = course.load(options.data)
keras.utils.set_random_seed(42)

# Convolutions want an axis of channels: 1 for grey, 3 for colour.
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
model.summary()
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
early_stopping = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
model.fit(
    x_train,
    data.y_train,
    epochs=options.epochs,
    validation_data=(x_val, data.y_val),
    callbacks=[early_stopping],
    verbose=2,
)

for name, x, y in (("Validation", x_val, data.y_val), ("Test", x_test, data.y_test)):
    loss, accuracy = model.evaluate(x, y, verbose=0)
    print(f"{name + ':':<12} loss {loss:.4f}, accuracy {accuracy:.4f}")

# x_test[0:1] is a batch of one image; x_test[0] would be an image without its batch axis.
probabilities = model.predict(x_test[0:1], verbose=0)
print(f"\nTest image 0, input {x_test[0:1].shape}, output {probabilities.shape}:")
for name, p in zip(data.class_names, probabilities[0], strict=True):
    print(f"  {name:<12} {p:7.4f} {'#' * round(30 * p)}".rstrip())
print(f"Prediction: {data.class_names[np.argmax(probabilities)]}; truth: {data.class_names[data.y_test[0]]}")

# Of 24 images at most 12 are mistakes, so that the picture shows both.
predictions = model.predict(x_test, verbose=0)
right = predictions.argmax(axis=1) == data.y_test
wrong = np.flatnonzero(~right)[:12]
shown = np.concatenate([np.flatnonzero(right)[: 24 - len(wrong)], wrong])
figure = course.new_figure("Test images: what the network says, how surely (%), and the truth where it errs", (9, 6.5))
for axes, i in zip(figure.subplots(4, 6).flat, shown, strict=True):
    axes.imshow(data.x_test[i], cmap="gray_r")
    axes.set(xticks=[], yticks=[])
    said, sure = data.class_names[predictions[i].argmax()], 100 * predictions[i].max()
    truth = "" if right[i] else f"\nis: {data.class_names[data.y_test[i]]}"
    axes.set_title(f"{said}  {sure:.0f}%{truth}", fontsize=9, color="black" if right[i] else course.ORANGE)
course.save(figure, "convolutional_network")
