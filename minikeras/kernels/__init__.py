"""The hot loops, in the form that numba compiles: what makes `functional` fast, whose NumPy functions say what they do.

    room        computes
    conv2d      convolutions and their gradients, with the rectifier and the pooling after them
    depthwise2d convolutions of each channel by itself
    dense       products of matrices with biases, and their gradients
    activations activations with exponentials
    crossentropy of a softmax, with its gradient
    pool2d      the largest or the mean cell under a window
    elementwise loops made of a formula for one element: the rules of the optimizers
    philox      random numbers
    vectors     what the processor's vector registers do
    products    the one kernel that multiplies
    team        threads that share work; `threads` starts them
    cache       machine code on the disk
    undisturbed first uses, which no interruption meets

A kernel has the name and the arguments of its NumPy function, after the `team` that shares its work.  Nothing here
knows anything else of minikeras, and `functional` alone knows what is here.

`python -m minikeras.kernels` compiles all of them ahead of time.
"""

import os
import sys

#: Whether NumPy shall do everything: where the user says so, and where compiling fails.
numpy_only = os.environ.get("MINIKERAS_KERNELS") == "numpy" or os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"


class Unfit(ValueError):
    """Arguments that machine code must not get; raised by its dispatcher and by `agree`."""


def tell(news: str) -> None:
    """Say on one line what a user should know."""
    print(f"minikeras: {news}", file=sys.stderr)


def do_without(error: Exception) -> None:
    """Let NumPy compute from now on, as compiling has failed."""
    global numpy_only
    if not numpy_only:
        numpy_only = True
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        tell(f"can't compile its kernels ({reason}); NumPy does their work, several times slower.")
