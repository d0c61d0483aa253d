"""The course's networks on the full Fashion-MNIST set, trained by tf.keras and by minikeras: is the accuracy the same?

    python benchmarks/fashion_mnist_accuracy.py                 # all networks, three seeds each, both libraries
    python benchmarks/fashion_mnist_accuracy.py --only cnn --seeds 1

Both libraries run the same functions below, on 48,000 images, with 12,000 for validation.  The result is a table in
Markdown: the mean validation accuracy of the last epoch and the range over the seeds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time


def softmax(k):
    return [k.layers.Dense(10, activation="softmax")], "rmsprop", 5


def sigmoid(k):
    return [k.layers.Dense(100, activation="sigmoid"), k.layers.Dense(10, activation="softmax")], "rmsprop", 5


def relu_rmsprop(k):
    return [k.layers.Dense(100, activation="relu"), k.layers.Dense(10, activation="softmax")], "rmsprop", 5


def relu_adam(k):
    return [k.layers.Dense(100, activation="relu"), k.layers.Dense(10, activation="softmax")], "adam", 5


def dropout(k):
    layers = [k.layers.Dense(100, activation="relu"), k.layers.Dropout(0.3), k.layers.Dense(10, activation="softmax")]
    return layers, "adam", 20


def cnn(k):
    layers = [
        k.layers.Conv2D(32, 3, activation="relu", padding="same"),
        k.layers.MaxPooling2D(2),
        k.layers.Conv2D(64, 3, activation="relu", padding="same"),
        k.layers.MaxPooling2D(2),
        k.layers.Flatten(),
        k.layers.Dense(100, activation="relu"),
        k.layers.Dropout(0.4),
        k.layers.Dense(10, activation="softmax"),
    ]
    return layers, "adam", 5


NETWORKS = {
    "softmax": (softmax, "784-10 softmax, rmsprop, 5 epochs"),
    "sigmoid": (sigmoid, "784-100(sigmoid)-10, rmsprop, 5 epochs"),
    "relu-rmsprop": (relu_rmsprop, "784-100(relu)-10, rmsprop, 5 epochs"),
    "relu-adam": (relu_adam, "784-100(relu)-10, adam, 5 epochs"),
    "dropout": (dropout, "784-100(relu)-Dropout(0.3)-10, adam, 20 epochs"),
    "cnn": (cnn, "Conv 32-pool-Conv 64-pool-100-Dropout(0.4)-10, adam, 5 epochs"),
}


def train(library, network, seed):
    """Train one network; return its last validation accuracy and loss, and the seconds that `fit` took."""
    if library == "minikeras":
        import minikeras as k
    else:
        import keras as k
    k.utils.set_random_seed(seed)
    (x, y), _ = k.datasets.fashion_mnist.load_data()
    x = x / 255.0
    shape = (28, 28, 1) if network == "cnn" else (784,)
    layers, optimizer, epochs = NETWORKS[network][0](k)
    model = k.Sequential([k.Input(shape), *layers])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    start = time.perf_counter()
    history = model.fit(x.reshape(-1, *shape), y, epochs=epochs, validation_split=0.2, verbose=0).history
    return {
        "accuracy": history["val_accuracy"][-1],
        "loss": history["val_loss"][-1],
        "seconds": time.perf_counter() - start,
    }


def in_own_process(library, network, seed):
    command = [sys.executable, __file__, "--one", library, network, str(seed)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=NETWORKS, action="append", help="this network; may be repeated")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--one", nargs=3, metavar=("LIBRARY", "NETWORK", "SEED"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        library, network, seed = arguments.one
        print(json.dumps(train(library, network, int(seed))))
        return
    print("| network | tf.keras | minikeras |\n|---|---|---|", flush=True)
    for network in arguments.only or NETWORKS:
        cells = [NETWORKS[network][1]]
        for library in ("keras", "minikeras"):
            runs = [in_own_process(library, network, seed) for seed in range(1, arguments.seeds + 1)]
            accuracies = sorted(run["accuracy"] for run in runs)
            cells.append(f"{statistics.mean(accuracies):.4f} ({accuracies[0]:.4f} to {accuracies[-1]:.4f})")
            print(network, library, runs, file=sys.stderr, flush=True)
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
