"""A first network: 64 pixels in, a digit out.

The learner sees a network take shape (the table of its layers), learn (a line per epoch; the loss falls, the accuracy
rises), and sit an exam on images it never saw.  Each layer computes

    y = activation(x @ kernel + bias)

with relu(z) = max(z, 0) in the hidden layer and softmax(z)_k = exp(z_k) / sum_j exp(z_j) in the last one, whose ten
outputs are the probabilities of the ten classes.
"""

import course

import minikeras as keras

options = course.arguments(__doc__, digits=30, fashion_mnist=5)
data = course.load(options.data)
keras.utils.set_random_seed(42)

model = keras.Sequential(
    [
        keras.Input(data.shape),
        keras.layers.Flatten(),
        keras.layers.Dense(100, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.summary()

model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(data.x_train, data.y_train, epochs=options.epochs, validation_data=(data.x_val, data.y_val)).history

loss, accuracy = model.evaluate(data.x_test, data.y_test, verbose=0)
print(f"\nTest accuracy: {accuracy:.4f} ({round(accuracy * len(data.y_test))} of {len(data.y_test)} images)")

figure = course.new_figure("A first network learns", size=(9, 4.5))
for axes, key, ylabel in zip(figure.subplots(1, 2), ("loss", "accuracy"), (course.LOSS, course.ACCURACY), strict=True):
    curves = {
        "training images": (history[key], course.BLUE, "-"),
        "validation images": (history[f"val_{key}"], course.ORANGE, "--"),
    }
    course.draw_curves(axes, curves, ylabel)
    course.legend_below(axes)
course.save(figure, "first_network")
