"""How an error about an argument begins: with Keras's sentence, where it has one, as people search for that.

What follows says which object it is about, what it takes, and what it received.
"""

import re
from collections.abc import Mapping
from typing import Any

_RATE = "Invalid value received for argument `rate`. Expected a float value between 0 and 1."
_NOT_NEGATIVE = "{argument} of a {kind} layer cannot be None or a negative value."

#: By the names of a class, or of one that it derives from, and of the argument; `{value!r}` is what was received.
OPENINGS = {
    ("Layer", "trainable"): "Expected `trainable` to be a boolean. Received: trainable={value}.",
    ("InputLayer", "sparse"): "`sparse=True` is not supported with the numpy backend.",
    ("InputLayer", "ragged"): "`ragged=True` is not supported with the numpy backend.",
    ("InputLayer", "input_tensor"): "Argument `input_tensor` must be a KerasTensor.",
    ("Dense", "units"): "Received an invalid value for `units`, expected a positive integer.",
    ("Embedding", "input_dim"): "`input_dim` must be a positive integer.",
    ("Embedding", "output_dim"): "`output_dim` must be a positive integer.",
    ("Dropout", "rate"): _RATE,
    ("GaussianDropout", "rate"): _RATE,
    ("Dropout", "noise_shape"): (
        "Invalid value received for argument `noise_shape`. Expected a tuple or list of integers."
    ),
    ("GaussianNoise", "stddev"): _RATE.replace("rate", "stddev"),
    ("ReLU", "max_value"): "max_value of a ReLU layer cannot be a negative value.",
    ("ReLU", "negative_slope"): _NOT_NEGATIVE,
    ("ReLU", "threshold"): _NOT_NEGATIVE,
    ("LeakyReLU", "negative_slope"): "The negative_slope value of a Leaky ReLU layer cannot be None or negative value.",
    ("Permute", "dims"): (
        "Invalid permutation argument `dims` for Permute Layer. The set of indices in `dims` must be consecutive and "
        "start from 1."
    ),
    ("RepeatVector", "n"): "Expected an integer value for `n`; it should be a positive integer.",
    ("Reshape", "target_shape"): (
        "Each dimension in `target_shape` must be a non-negative integer, or `-1` for a single unknown dimension. "
        "Received: target_shape={value}."
    ),
    ("LayerNormalization", "axis"): "Expected an int or a list/tuple of ints for the argument 'axis'.",
    ("VarianceScaling", "scale"): "Argument `scale` must be positive float.",
    ("SGD", "momentum"): "`momentum` must be a float between [0, 1].",
    ("AdamW", "weight_decay"): "Argument `weight_decay` must be a float. Received: weight_decay={value}.",
    ("BackupAndRestore", "backup_dir"): "Empty `backup_dir` argument passed.",
    ("BackupAndRestore", "save_freq"): "Invalid value for argument `save_freq`.",
    ("ModelCheckpoint", "save_freq"): "Unrecognized save_freq: {value}.",
    ("SeedGenerator", "seed"): "Argument `seed` must be an integer.",
}


def open_with(error: Exception, kind: type, arguments: Mapping[str, Any]) -> None:
    """Let the message of an error that a constructor raises begin with Keras's sentence, where it has one.

    Args:
        error: whose message names the argument.
        kind: whose constructor that is.
        arguments: of the call, by their names.
    """
    message = str(error)
    for base in kind.__mro__:
        for argument, value in arguments.items():
            sentence = OPENINGS.get((base.__name__, argument))
            if sentence and re.search(rf"\b{argument}\b", message.partition(" By position")[0]):
                begin = sentence.format(argument=argument, kind=base.__name__, value=value)
                error.args = error.args if message.startswith(begin) else (f"{begin} {message}",)
                return
