"""Early stopping: train until the validation loss has stopped falling, and go back to its lowest point.

After each epoch, EarlyStopping(patience=2, restore_best_weights=True) compares the validation loss with the lowest so
far.  It keeps the weights of a new lowest one; after two epochs in a row without one it stops the training and puts
the kept weights back.  The learner need not guess the number of epochs any more: any number that is large will do.
A larger patience bears longer bumps in the curve, and costs as many more epochs.
"""

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

early_stopping = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
history = model.fit(
    data.x_train,
    data.y_train,
    epochs=options.epochs,
    validation_data=(data.x_val, data.y_val),
    callbacks=[early_stopping],
    verbose=0,
).history

best = early_stopping.best_epoch  # counted from 0, as is stopped_epoch
loss, accuracy = model.evaluate(data.x_val, data.y_val, verbose=0)
print("epoch   validation loss")
for epoch in range(max(best - 2, 0), len(history["val_loss"])):
    print(f"{epoch + 1:5d} {history['val_loss'][epoch]:12.4f}{'     <- the lowest' if epoch == best else ''}")

stopped = early_stopping.stopped_epoch
print(f"\nstopped_epoch  {stopped}" + ("" if stopped else "  (patience was not at its end)"))
print(f"best_epoch     {best}")
print(f"After training the model's validation loss is {loss:.4f}: the weights of epoch {best + 1} are back.")
print(f"Validation accuracy: {accuracy:.4f}")

figure = course.new_figure("Stopped when the validation loss no longer fell")
axes = figure.subplots()
curves = {
    "training images": (history["loss"], course.BLUE, "-"),
    "validation images": (history["val_loss"], course.ORANGE, "--"),
}
course.draw_curves(axes, curves, course.LOSS)
axes.plot(best + 1, history["val_loss"][best], "*", color="black", markersize=14, label=f"best epoch: {best + 1}")
course.legend_below(axes, columns=3)
course.save(figure, "early_stopping")
