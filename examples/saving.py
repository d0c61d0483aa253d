"""Saving: keep what a network has learned, and use it again.

save_weights writes the numbers alone: they need a model of the same layers to be loaded into.  save writes the whole
model, with its layers, what compile was given and the state of the optimizer, and load_model needs nothing else: it
predicts, is evaluated and trains on as if it had never been away.  Both files are Keras's own.
"""

import os
import tempfile

import course
import numpy as np

import minikeras as keras

options = course.arguments(__doc__, digits=10, fashion_mnist=3)
data = course.load(options.data)
keras.utils.set_random_seed(42)


def new_model():
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
    return model


model = new_model()
trained = model.fit(data.x_train, data.y_train, epochs=options.epochs, verbose=0).history
accuracy = model.evaluate(data.x_val, data.y_val, verbose=0)[1]
print(f"trained model              {accuracy:.4f}")

with tempfile.TemporaryDirectory() as folder:
    weights, whole = os.path.join(folder, "model.weights.h5"), os.path.join(folder, "model.keras")
    model.save_weights(weights)
    model.save(whole)
    print(f"model.weights.h5           {os.path.getsize(weights):,} bytes")
    print(f"model.keras                {os.path.getsize(whole):,} bytes")

    model = new_model()
    accuracy = model.evaluate(data.x_val, data.y_val, verbose=0)[1]
    print(f"new model                  {accuracy:.4f}")
    model.load_weights(weights)
    classes = np.argmax(model.predict(data.x_val, verbose=0), axis=-1)
    print(f"with the saved weights     {np.mean(classes == data.y_val):.4f}  (by argmax of predict)")

    model = keras.models.load_model(whole)
    loss, accuracy = model.evaluate(data.x_val, data.y_val, verbose=0)
    print(f"load_model                 {accuracy:.4f}  (by evaluate)")
    going_on = model.fit(data.x_train, data.y_train, epochs=options.epochs, verbose=0).history

first, last = trained["loss"][-1], going_on["loss"][-1]
print(f"\ntraining loss when saved   {first:.4f}")
print(f"trained on, as long again  {last:.4f}")

figure = course.new_figure("Training goes on where the file was saved")
axes = figure.subplots()
curves = {
    "before saving, and after loading": (trained["loss"] + going_on["loss"], course.BLUE, "-"),
}
course.draw_curves(axes, curves, course.LOSS)
axes.axvline(options.epochs + 0.5, color="black", linestyle=":", label="model.save, load_model")
course.legend_below(axes)
course.save(figure, "saving")
