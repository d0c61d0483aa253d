"""Softmax regression: the smallest network, beside scikit-learn's SGDClassifier.

One Dense layer gives each class k a score, a weighted sum of the pixels; softmax turns ten scores into probabilities:

    z_k = sum_i x_i w_ik + b_k        p_k = exp(z_k) / sum_j exp(z_j)

Training lowers the sparse categorical crossentropy, the mean of -log p_y over the images, y being the true class.
"Sparse" says that y is given as a number (7), not as ten zeros and ones.  SGDClassifier(loss="log_loss") fits weighted
sums too, but each class by itself against the other nine, with a sigmoid: ten yes-or-no questions in place of one
choice.  The learner computes the loss by hand, and sees the weights of either model as pictures.
"""

import course
import numpy as np
from sklearn.linear_model import SGDClassifier

import minikeras as keras

options = course.arguments(__doc__, digits=50, fashion_mnist=5)
data = course.load(options.data)
keras.utils.set_random_seed(42)
pixels = data.shape[0] * data.shape[1]
x_train, x_val = data.x_train.reshape(-1, pixels), data.x_val.reshape(-1, pixels)

model = keras.Sequential([keras.Input((pixels,)), keras.layers.Dense(10, activation="softmax")])
model.compile(keras.optimizers.Adam(data.learning_rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, data.y_train, epochs=options.epochs, verbose=0)
loss, accuracy = model.evaluate(x_val, data.y_val, verbose=0)

# tol=None: as many passes over the data as the network had, no fewer.
classifier = SGDClassifier(loss="log_loss", max_iter=options.epochs, tol=None, random_state=42)
classifier.fit(x_train, data.y_train)

print(f"Validation accuracy after {options.epochs} epochs")
print(f"  Dense(10, softmax)           {accuracy:.4f}")
print(f"  SGDClassifier(log_loss)      {classifier.score(x_val, data.y_val):.4f}")

probabilities = model.predict(x_val, verbose=0)
p = probabilities[np.arange(len(x_val)), data.y_val]  # of the true class of each image
print("\nCrossentropy by hand")
print(f"  image 0: p = {p[0]:.4f}, -log p  {-np.log(p[0]):.4f}")
print(f"  mean of -log p, all images   {-np.log(p).mean():.4f}")
print(f"  the loss of evaluate         {loss:.4f}")

kernel, bias = model.layers[0].get_weights()
figure = course.new_figure("What counts for each class (blue) and what against it (red)", size=(11, 3))
for row, weights, name in zip(
    figure.subplots(2, 10), (kernel.T, classifier.coef_), ("softmax", "SGDClassifier"), strict=True
):
    limit = np.abs(weights).max()
    for axes, w, class_name in zip(row, weights, data.class_names, strict=True):
        image = axes.imshow(w.reshape(data.shape), cmap="RdBu", vmin=-limit, vmax=limit)
        axes.set(xticks=[], yticks=[])
        if name == "softmax":
            axes.set_title(class_name, fontsize=9)
    row[0].set_ylabel(name)
    figure.colorbar(image, ax=row, label="weight", fraction=0.02)
course.save(figure, "softmax_regression")
