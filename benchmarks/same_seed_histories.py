"""One script, one seed, two libraries: the Histories of five epochs of Fashion-MNIST side by side, as Markdown.

    python benchmarks/same_seed_histories.py

The network is 784-100(relu)-Dropout(0.3)-10 with Adam, after `set_random_seed(42)`: the same first weights, the same
units dropped, the same order of images.  What differs in the end is the rounding of float32 sums.
"""

import argparse
import json
import subprocess
import sys

KEYS = ("loss", "accuracy", "val_loss", "val_accuracy")


def history(library):
    if library == "minikeras":
        import minikeras as keras
    else:
        import keras
    keras.utils.set_random_seed(42)
    (x, y), _ = keras.datasets.fashion_mnist.load_data()
    model = keras.Sequential(
        [
            keras.layers.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(100, activation="relu"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model.fit(x / 255.0, y, epochs=5, validation_split=0.2, verbose=0).history


def in_own_process(library):
    command = [sys.executable, __file__, "--one", library]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", metavar="LIBRARY", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(history(arguments.one)))
        return
    theirs, ours = in_own_process("keras"), in_own_process("minikeras")
    print(f"| epoch | {' | '.join(f'{key}: tf.keras | minikeras' for key in KEYS)} |")
    print("|---|" + "---|---|" * len(KEYS))
    for epoch in range(5):
        cells = [f"{library[key][epoch]:.5f}" for key in KEYS for library in (theirs, ours)]
        print(f"| {epoch + 1} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
