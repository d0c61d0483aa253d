"""Checkpoints: the best model so far is always on the disk.

After each epoch, ModelCheckpoint("best.keras", save_best_only=True) compares the validation loss with the lowest so
far, and writes the whole model to the file if it is lower.  EarlyStopping(patience=2) ends the training two epochs
after the last improvement.  The model in memory then is that of the last epoch; load_model brings back the best, here
or in another program, on another day.
"""

import os
import tempfile

import course

import minikeras as keras

options = course.arguments(__doc__, digits=100, fashion_mnist=20)
data = course.load(options.data)
keras.utils.set_random_seed(42)

model = keras.Sequential(
    [
        keras.Input(data.shape),
        keras.layers.Flatten(),
        keras.layers.Dense(100, activation="relu"),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
adam = keras.optimizers.Adam(data.learning_rate)
model.compile(adam, loss="sparse_categorical_crossentropy", metrics=["accuracy"])

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "best.keras")
    checkpoint = keras.callbacks.ModelCheckpoint(path, save_best_only=True)
    early_stopping = keras.callbacks.EarlyStopping(patience=2)
    history = model.fit(
        data.x_train,
        data.y_train,
        epochs=options.epochs,
        validation_data=(data.x_val, data.y_val),
        callbacks=[checkpoint, early_stopping],
        verbose=0,
    ).history
    best = keras.models.load_model(path)

losses = history["val_loss"]
saved = [epoch for epoch in range(len(losses)) if losses[epoch] == min(losses[: epoch + 1])]
print(f"epochs trained      {len(losses)}")
print(f"times saved         {len(saved)}")
print(f"best epoch          {saved[-1] + 1}")
print("                    validation loss   accuracy")
for name, network in (("the last epoch", model), ("best.keras", best)):
    loss, accuracy = network.evaluate(data.x_val, data.y_val, verbose=0)
    print(f"{name:20s}{loss:15.4f} {accuracy:10.4f}")

figure = course.new_figure("Saved whenever the validation loss was the lowest so far")
axes = figure.subplots()
curves = {
    "training images": (history["loss"], course.BLUE, "-"),
    "validation images": (losses, course.ORANGE, "--"),
}
course.draw_curves(axes, curves, course.LOSS)
axes.plot([e + 1 for e in saved], [losses[e] for e in saved], "*", color="black", markersize=10, label="saved")
course.legend_below(axes, columns=3)
course.save(figure, "checkpoints")
