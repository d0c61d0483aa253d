"""The class that Keras's tests derive from, less what needs a dtype policy of two types."""

import importlib

from minikeras.common.results import as_result

_theirs = importlib.import_module("keras.src.testing.test_case")


class TestCase(_theirs.TestCase):
    """Keras's own; the checks of mixed precision are left out."""

    __test__ = False

    def run_layer_test(self, *arguments, **named):
        named["run_mixed_precision_check"] = False
        named["expected_output"] = as_result(named.get("expected_output"))  # of the type that layers return
        return super().run_layer_test(*arguments, **named)


def _seed_generators(layer):
    return [layer.seed_generator] if hasattr(layer, "seed_generator") else []


_theirs.TestCase = TestCase
_theirs.get_seed_generators = _seed_generators
