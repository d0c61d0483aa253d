"""A deep network: a hidden layer, first with sigmoid, then with relu and Flatten.

    hidden = f(x @ kernel_1 + bias_1)        p = softmax(hidden @ kernel_2 + bias_2)

Without f, two layers would be no more than one: a weighted sum of weighted sums is a weighted sum.  On the way back
the chain rule multiplies by f'.  For sigmoid(z) = 1 / (1 + exp(-z)) that is at most 1/4, and nearly 0 for large |z|, so
that little of the error reaches the first layer; for relu(z) = max(z, 0) it is 1 wherever z > 0.  The learner writes
both networks, counts their weights, and sees which of them learns faster.
"""

import course
import numpy as np

import minikeras as keras

options = course.arguments(__doc__, digits=20, fashion_mnist=5)
data = course.load(options.data)
pixels = data.shape[0] * data.shape[1]


def trained(model, x_train, x_val):
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    validation = (x_val, data.y_val)
    return model.fit(x_train, data.y_train, epochs=options.epochs, validation_data=validation, verbose=0).history


keras.utils.set_random_seed(42)
# The shape of the input, said by an Input in front; the images are flattened by hand.
sigmoid = keras.Sequential(name="with_sigmoid")
sigmoid.add(keras.Input((pixels,)))
sigmoid.add(keras.layers.Dense(100, activation="sigmoid", name="hidden"))
sigmoid.add(keras.layers.Dense(10, activation="softmax", name="output"))
sigmoid.summary()
print(f"By hand: hidden {pixels} * 100 + 100 = {pixels * 100 + 100:,}, output 100 * 10 + 10 = {100 * 10 + 10:,}\n")
sigmoid_history = trained(sigmoid, data.x_train.reshape(-1, pixels), data.x_val.reshape(-1, pixels))

keras.utils.set_random_seed(42)
# The same said by the first layer, as courses often write it; Flatten has no weights and takes the images as they are.
relu = keras.Sequential(name="with_relu")
relu.add(keras.layers.Flatten(input_shape=data.shape))
relu.add(keras.layers.Dense(100, activation="relu", name="hidden"))
relu.add(keras.layers.Dense(10, activation="softmax", name="output"))
relu.summary()
relu_history = trained(relu, data.x_train, data.x_val)

print(f"After {options.epochs} epochs            sigmoid    relu")
for label, key in (("training loss", "loss"), ("validation loss", "val_loss"), ("validation accuracy", "val_accuracy")):
    print(f"  {label:<20} {sigmoid_history[key][-1]:9.4f} {relu_history[key][-1]:7.4f}")

figure = course.new_figure("Sigmoid and relu: their slopes, and how fast the networks learn", size=(9, 4.5))
slopes, accuracies = figure.subplots(1, 2)
z = np.linspace(-6, 6, 601)
s = 1 / (1 + np.exp(-z))
slopes.plot(z, s * (1 - s), color=course.BLUE, label="sigmoid")
slopes.plot(z, np.where(z > 0, 1.0, 0.0), "--", color=course.ORANGE, label="relu")
slopes.set(xlabel="weighted sum z", ylabel="slope f'(z)")
slopes.grid(alpha=0.3)
slopes.spines[["top", "right"]].set_visible(False)
curves = {
    "sigmoid": (sigmoid_history["val_accuracy"], course.BLUE, "-"),
    "relu": (relu_history["val_accuracy"], course.ORANGE, "--"),
}
course.draw_curves(accuracies, curves, "validation " + course.ACCURACY)
course.legend_below(slopes)
course.legend_below(accuracies)
course.save(figure, "deep_network")
