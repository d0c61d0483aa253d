"""Optimizers: six ways down the same hill.

Each rule turns the gradient g of the loss into a step of the weights w; lr is the learning rate:

    SGD        w -= lr g
    momentum   m = 0.9 m - lr g,              w += m                     goes on where it was going
    Nesterov   m = 0.9 m - lr g,              w += 0.9 m - lr g          looks where momentum will carry it
    Adagrad    a += g^2,                      w -= lr g / sqrt(a)        small steps where gradients were large
    RMSprop    v = 0.9 v + 0.1 g^2,           w -= lr g / sqrt(v)        the same, and forgets
    Adam       RMSprop with momentum, both corrected for having started at 0

(less the 1e-7 that keeps the divisors from being 0).  The learner sees the same network, from the same first weights,
driven by each with Keras's own learning rate.  Only Adagrad gets another: its 0.001 hardly moves in so few steps.
"""

import course

import minikeras as keras

options = course.arguments(__doc__, digits=20, fashion_mnist=5)
data = course.load(options.data)

SGD, Adagrad, RMSprop, Adam = (getattr(keras.optimizers, name) for name in ("SGD", "Adagrad", "RMSprop", "Adam"))
rules = {
    "SGD": (SGD(), course.BLUE, "-"),
    "momentum": (SGD(momentum=0.9), course.ORANGE, "-"),
    "Nesterov": (SGD(momentum=0.9, nesterov=True), course.YELLOW, "--"),
    "Adagrad": (Adagrad(learning_rate=0.01), course.SKY, "-."),
    "RMSprop": (RMSprop(), course.GREEN, "-"),
    "Adam": (Adam(), course.PURPLE, "--"),
}

print(f"After {options.epochs} epochs")
print("  rule      learning rate   training loss   validation accuracy")
curves = {}
for name, (optimizer, colour, style) in rules.items():
    keras.utils.set_random_seed(42)
    model = keras.Sequential(
        [
            keras.Input(data.shape),
            keras.layers.Flatten(),
            keras.layers.Dense(100, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(data.x_train, data.y_train, epochs=options.epochs, verbose=0).history
    loss, accuracy = model.evaluate(data.x_val, data.y_val, verbose=0)
    curves[name] = (history["loss"], colour, style)
    print(f"  {name:<9} {float(optimizer.learning_rate):13.3f} {history['loss'][-1]:15.4f} {accuracy:21.4f}")

figure = course.new_figure("Six optimizers, the same network, the same first weights")
axes = figure.subplots()
course.draw_curves(axes, curves, "training " + course.LOSS)
course.log_scale(axes)
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
course.save(figure, "optimizers")
