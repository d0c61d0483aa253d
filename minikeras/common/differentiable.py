"""A function with its derivative: how activations and losses are written down.

@differentiable
def tanh(x): return np.tanh(x)

@tanh.derivative
def tanh_gradient(dy, x, y): return dy * (1 - y * y)
"""

import functools
from collections.abc import Callable
from typing import Any

from .arguments import plain
from .lending import lending


class Differentiable:
    """A callable whose `gradient` attribute computes its derivative.

    The arguments of `gradient` are stated where the function is used: see `activations` and `losses`.
    """

    __name__: str
    __qualname__: str

    def __init__(self, function: Callable[..., Any]):
        functools.update_wrapper(self, function)
        self.function = function
        self.gradient: Any = None  # a function, once there is a `derivative`
        self.bound_from: tuple[Differentiable, dict[str, Any]] | None = None

    def __reduce__(self) -> Any:
        # Copies and pickles name a function instead of repeating it.
        if self.bound_from is None:
            return self.__qualname__
        origin, options = self.bound_from
        return functools.partial(origin.bind, **options), ()

    def derivative(self, gradient: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate the function's derivative."""
        self.gradient = lending(gradient)
        return gradient

    def bind(self, **options: Any) -> "Differentiable":
        """Return the same function and derivative with some options fixed."""
        options = {name: plain(value) for name, value in options.items()}
        bound = Differentiable(functools.partial(self.function, **options))
        bound.__name__, bound.bound_from = self.__name__, (self, options)
        if self.gradient is not None:
            bound.gradient = functools.partial(self.gradient, **options)
        return bound

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the function."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<function {self.__name__}>"


def differentiable(function: Callable[..., Any]) -> Differentiable:
    """Make a function one that can carry its derivative."""
    return Differentiable(lending(function))
