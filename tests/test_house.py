"""The house: who may import whom, how long files are, and that the code which the README tells one to read is run."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minikeras

ROOT = Path(minikeras.__file__).parent
README = Path(__file__).parent.parent / "README.md"

#: The rooms, from the ground up: each imports only from floors below its own.
FLOORS = [
    {"config", "kernels", "common"},
    {"functional", "variables", "regularizers", "constraints", "datasets", "backend"},
    {"random", "activations"},
    {"initializers", "losses", "data"},
    {"layers", "metrics", "optimizers"},
    {"saving"},
    {"callbacks"},
    {"engine"},
    {"inspecting"},
    {"models", "plotting"},
    {"testing", "utils"},
]

#: One step of a convolutional network: definitions that it runs, and what these derive from.
SPINE = {
    "engine/training.py": ["Trainer.fit", "Trainer.train_step", "Trained"],
    "engine/graph.py": ["Graph"],
    "engine/blocks.py": ["PooledConvolution", "fused"],
    "engine/objective.py": ["Head", "SoftmaxCrossentropy", "paired", "Objective"],
    "layers/base.py": ["Layer"],
    "layers/activated.py": ["ActivatedLayer"],
    "layers/core.py": ["Dense", "as_matrix", "Flatten", "Dropout"],
    "layers/conv.py": ["Convolution", "Conv2D"],
    "layers/pooling.py": ["Pooling2D", "MaxPooling2D"],
    "functional/dense.py": ["*"],
    "functional/conv2d.py": ["*"],
    "functional/pool2d.py": ["*"],
    "functional/activations.py": ["*"],
    "functional/crossentropy.py": ["*"],
    "functional/updates.py": ["sgd", "rmsprop", "adam"],
    "losses/base.py": ["Loss"],
    "losses/functions.py": ["mean_squared_error", "sparse_categorical_crossentropy"],
    "optimizers/base.py": ["Optimizer"],
    "optimizers/rules.py": ["SGD", "RMSprop", "Adam"],
    "variables.py": ["Variable", "Parameters"],
}

FILES = {str(path.relative_to(ROOT)).replace(os.sep, "/"): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def length(name):
    return len(FILES[name].read_text(encoding="utf-8").splitlines())


def room_of(module):
    return module.split("/")[0].removesuffix(".py")


def imports(name):
    """Return the files that a file imports, also within functions; for types alone doesn't count."""
    found = set()
    parts = name.removesuffix(".py").split("/")
    package = parts[:-1]

    def add(target, names):
        for candidate in [*([*target, n] for n in names), target]:
            for path in ("/".join(candidate) + ".py", "/".join([*candidate, "__init__.py"])):
                if candidate and path in FILES:
                    found.add(path)
                    if candidate == target:
                        return

    def look(node):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                look(other)
            return
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1] + (node.module.split(".") if node.module else [])
            modules = [a.name for a in node.names if is_module([*base, a.name])]
            add(base, []) if len(modules) < len(node.names) else None
            for module in modules:
                add([*base, module], [])
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            assert node.__dict__.get("level") or not any(n.split(".")[0] == "minikeras" for n in names), name
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            first = node.args[0]
            if isinstance(first, ast.Constant):
                add(first.value.removeprefix("minikeras").strip(".").split("."), [])
        for child in ast.iter_child_nodes(node):
            look(child)

    look(TREES[name])
    return found - {name}


def is_module(parts):
    return "/".join(parts) + ".py" in FILES or "/".join([*parts, "__init__.py"]) in FILES


def test_every_room_has_its_floor_and_there_are_few():
    rooms = {room_of(name) for name in FILES} - {"__init__"}
    assert rooms == set().union(*FLOORS)
    assert sum(map(len, FLOORS)) == len(rooms) < 28
    assert len(FLOORS) <= 11


@pytest.mark.parametrize("name", FILES)
def test_no_import_upward(name):
    if name == "__init__.py":  # the roof: it only names the rooms, and imports them when they are asked for
        return
    height = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}
    room = room_of(name)
    for other in imports(name):
        target = room_of(other)
        assert target == room or height[target] < height[room], f"{name} imports {other}"
        assert target != "kernels" or room in ("kernels", "functional"), f"{name} imports {other} past the door"


def test_no_file_imports_itself_in_a_circle():
    arrows = {name: imports(name) for name in FILES if name != "__init__.py"}
    left = dict(arrows)
    while leaves := [name for name, targets in left.items() if not targets & left.keys()]:
        for name in leaves:
            del left[name]
    assert not left, f"a circle among {sorted(left)}"


@pytest.mark.parametrize("name", FILES)
def test_no_file_is_long(name):
    assert length(name) <= 450


def reading_list():
    """Return the files that the README names for one step of training: all that stands before the door to kernels."""
    text = README.read_text(encoding="utf-8")
    chapter = text[text.index("## How to read it") :].partition("\n|")[0]
    return [name for name in re.findall(r"`([a-z_/0-9]+\.py)`", chapter) if name in FILES and "kernels" not in name]


def test_the_engine_is_an_afternoons_reading():
    total = sum(map(length, reading_list()))
    print(f"\nthe reading list: {total} lines")
    assert total <= 5000


def test_one_step_is_a_short_way():
    total = 0
    for name, wanted in SPINE.items():
        if wanted == ["*"]:
            total += length(name)
            continue
        for definition in wanted:
            node = TREES[name]
            for part in definition.split("."):
                node = next(child for child in node.body if getattr(child, "name", None) == part)
            total += node.end_lineno - min([node.lineno, *(d.lineno for d in node.decorator_list)]) + 1
    print(f"\none step of a network: {total} lines")
    assert total <= 2800


def test_the_package_stays_small():
    assert sum(map(length, FILES)) < 30_000


#: Functions that take what Keras's take; and those of one compiled function, which takes but numbers and arrays.
MANY_PARAMETERS = {
    "datasets/cache.py": {"get_file"},
    "engine/compiled.py": {"compile"},
    "engine/training.py": {"fit"},
    "functional/conv2d.py": {"forward", "backward"},
    "functional/dense.py": {"backward"},
    "functional/updates.py": {
        "rmsprop_momentum", "rmsprop_centered_momentum", "adam", "amsgrad", "nadam", "adamax",
    },
    "kernels/conv2d.py": {"forward", "backward"},
    "kernels/dense.py": {"backward"},
    "layers/core.py": {"Input"},
    "plotting/drawing/__init__.py": {"plot_model", "model_to_dot"},
}  # fmt: skip


def test_no_function_takes_many_parameters_by_position():
    many = {}
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name != "__init__":
                parameters = [a.arg for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in ("self", "cls")]
                if len(parameters) > 8:
                    many.setdefault(name, set()).add(node.name)
    assert many == MANY_PARAMETERS


# What one reads is what runs ------------------------------------------------------------------------------------------

STEP = """
import json, os, sys
import numpy as np
import minikeras as keras

layers, root = keras.layers, os.path.dirname(keras.__file__)
model = keras.Sequential([
    keras.Input((8, 8, 1)), layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(),
    layers.Dense(5, activation="relu"), layers.Dropout(0.3), layers.Dense(3, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
x, y = np.random.default_rng(1).random((32, 8, 8, 1), np.float32), np.arange(32) % 3
"""

VISITED = (
    STEP
    + """
model.fit(x, y, batch_size=16, verbose=0)  # what is settled at the first step is settled
files = set()


def look(frame, event, _):
    if event == "call" and frame.f_code.co_filename.startswith(root):
        files.add(os.path.relpath(frame.f_code.co_filename, root).replace(os.sep, "/"))


sys.setprofile(look)
model.train_step(x[:16], y[:16])
sys.setprofile(None)
print(json.dumps(sorted(files)))
"""
)

HOPS = (
    STEP
    + """
import traceback
from minikeras import functional
from minikeras.layers import core, conv


def stack_at(function):
    def wrapper(*arguments, **named):
        names = [f"{f.f_code.co_qualname}" for f, _ in traceback.walk_stack(sys._getframe(1))]
        within = names[: names.index("Trainer.fit") + 1][::-1]
        stacks.append(within)
        return function(*arguments, **named)

    return wrapper


stacks = []
if sys.argv[1] == "Dense":
    np.matmul = stack_at(np.matmul)
    model = keras.Sequential([keras.Input((64,)), layers.Dense(5, activation="relu"), layers.Dense(3)])
    x = x.reshape(len(x), -1)
else:
    model.fit(x, y, batch_size=16, verbose=0)  # compiled
    forward = functional.conv2d.forward
    forward.machine_code = stack_at(forward.machine_code)
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x, y, batch_size=16, verbose=0)
print(json.dumps(min(stacks, key=len)))
"""
)


def run(code, *arguments, kernels=""):
    environment = {**os.environ, "MINIKERAS_KERNELS": kernels}
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_the_reading_list_is_what_runs():
    named, visited = set(reading_list()), set(run(VISITED, kernels="numpy"))
    assert visited <= named, f"run, but not named: {sorted(visited - named)}"
    assert named <= visited, f"named, but not run: {sorted(named - visited)}"


@pytest.mark.parametrize(("layer", "end"), [("Dense", "np.matmul"), ("Conv2D", "the loop")])
def test_few_calls_lead_from_fit_to_the_multiplication(layer, end):
    stack = run(HOPS, layer, kernels="numpy" if layer == "Dense" else "")
    print(f"\n{' -> '.join([*stack, end])}: {len(stack)} calls")
    assert len(stack) <= 6


# Signatures and docstrings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_docstrings_say_nothing_that_can_rot(name):
    for node in ast.walk(TREES[name]):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            text = ast.get_docstring(node) or ""
            assert not re.search(r"\b(Calls|Called by) `", text), f"{name}: {text}"
            assert not re.match(r"(Z|Y|X|Dx|Dw|Db|Dz|Dy)(\[.*?\])? (=|is) ", text), f"{name}: {text}"
