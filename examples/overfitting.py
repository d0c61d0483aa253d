"""Overfitting: what happens to a network that is trained for too long.

    training loss   = mean of -log p_y over the images it learns from
    validation loss = the same over images set aside, never learned from

At first both fall: what is learned holds for all images.  Later the network learns its own images by heart; the
training loss falls towards 0, the validation loss turns and rises.  The learner finds the turn, and sees why the loss
shows it and the accuracy hardly does: a wrong answer costs more the surer it is, yet it is one wrong answer.
"""

import course
import numpy as np

import minikeras as keras

options = course.arguments(__doc__, digits=60, fashion_mnist=20)
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
model.compile(
    keras.optimizers.RMSprop(data.learning_rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
)
history = model.fit(
    data.x_train, data.y_train, epochs=options.epochs, validation_data=(data.x_val, data.y_val), verbose=0
).history

best = int(np.argmin(history["val_loss"]))  # counted from 0
print("            training             validation")
print("epoch       loss  accuracy       loss  accuracy")
for epoch in sorted({0, best // 2, best, (best + options.epochs) // 2, options.epochs - 1}):
    numbers = [history[key][epoch] for key in ("loss", "accuracy", "val_loss", "val_accuracy")]
    turn = "   <- lowest validation loss" if epoch == best else ""
    print("{:5d} {:10.4f} {:9.4f} {:10.4f} {:9.4f}{}".format(epoch + 1, *numbers, turn))

figure = course.new_figure("Trained for too long: the two losses part", size=(9, 4.5))
panels = figure.subplots(1, 2)
for axes, key, ylabel in zip(panels, ("loss", "accuracy"), (course.LOSS, course.ACCURACY), strict=True):
    curves = {
        "training images": (history[key], course.BLUE, "-"),
        "validation images": (history[f"val_{key}"], course.ORANGE, "--"),
    }
    course.draw_curves(axes, curves, ylabel)
    axes.axvline(best + 1, color="grey", linestyle=":", label="lowest validation loss")
    course.legend_below(axes)
panels[0].set_ylim(0, 1.1 * max(history["val_loss"]))
course.save(figure, "overfitting")
