"""Lists, dictionaries and sets that are attributes of a layer: they tell it what comes and what goes; see `tracking`.

Copies are plain.  Keras's counterparts: `TrackedList`, `TrackedDict` and `TrackedSet`.
"""

from collections.abc import Iterable
from typing import Any


class Owned:
    """A container that is an attribute of a layer, and tells it what comes and what goes; nobody where it is a copy."""

    _owner: Any

    def _taken(self, value: Any) -> Any:
        return value if self._owner is None else self._owner._taken(value)

    def _let_go(self, values: list[Any]) -> None:
        if self._owner is not None:
            self._owner._let_go(values)


class TrackedList(Owned, list[Any]):
    """A list that is an attribute of a layer: what it holds belongs to the layer.  A copy is a plain list."""

    def __init__(self, values: Iterable[Any] = (), owner: Any = None):
        self._owner = owner
        super().__init__(self._taken(v) for v in values)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return list, (), None, iter(self)

    def append(self, value: Any) -> None:
        super().append(self._taken(value))

    def extend(self, values: Iterable[Any]) -> None:
        super().extend(self._taken(v) for v in values)

    def __iadd__(self, values: Iterable[Any]) -> Any:  # type: ignore[misc]
        self.extend(values)
        return self

    def insert(self, index: Any, value: Any) -> None:
        super().insert(index, self._taken(value))

    def __setitem__(self, place: Any, value: Any) -> None:
        several = isinstance(place, slice)
        gone = list(self[place]) if several else [self[place]]
        super().__setitem__(place, [self._taken(v) for v in value] if several else self._taken(value))
        self._let_go(gone)

    def __delitem__(self, place: Any) -> None:
        gone = list(self[place]) if isinstance(place, slice) else [self[place]]
        super().__delitem__(place)
        self._let_go(gone)

    def pop(self, index: Any = -1) -> Any:
        value = super().pop(index)
        self._let_go([value])
        return value

    def remove(self, value: Any) -> None:
        del self[next((i for i, v in enumerate(self) if v is value), None) or self.index(value)]

    def clear(self) -> None:
        del self[:]


class TrackedDict(Owned, dict[Any, Any]):
    """A dictionary that is an attribute of a layer: its values belong to the layer.  A copy is a plain dictionary."""

    def __init__(self, values: Any = (), owner: Any = None):
        self._owner = owner
        super().__init__({key: self._taken(v) for key, v in dict(values).items()})

    def __reduce_ex__(self, protocol: Any) -> Any:
        return dict, (), None, None, iter(self.items())

    def __setitem__(self, key: Any, value: Any) -> None:
        gone = [self[key]] if key in self else []
        super().__setitem__(key, self._taken(value))
        self._let_go(gone)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *values: Any, **named: Any) -> None:
        for key, value in dict(*values, **named).items():
            self[key] = value

    def __ior__(self, values: Any) -> Any:  # type: ignore[misc]
        self.update(values)
        return self

    def __delitem__(self, key: Any) -> None:
        self.pop(key)

    def pop(self, key: Any, *default: Any) -> Any:
        value = super().pop(key, *default)
        self._let_go([value])
        return value

    def popitem(self) -> Any:
        key, value = super().popitem()
        self._let_go([value])
        return key, value

    def clear(self) -> None:
        gone = list(self.values())
        super().clear()
        self._let_go(gone)


class TrackedSet(Owned, set[Any]):
    """A set that is an attribute of a layer: what it holds belongs to the layer.  A copy is a plain set."""

    def __init__(self, values: Iterable[Any] = (), owner: Any = None):
        self._owner = owner
        super().__init__(self._taken(v) for v in values)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return set, (list(self),)

    def add(self, value: Any) -> None:
        super().add(self._taken(value))

    def update(self, *others: Iterable[Any]) -> None:
        for value in (v for values in others for v in values):
            self.add(value)

    def discard(self, value: Any) -> None:
        super().discard(value)
        self._let_go([value])

    def remove(self, value: Any) -> None:
        super().remove(value)
        self._let_go([value])

    def pop(self) -> Any:
        value = super().pop()
        self._let_go([value])
        return value

    def clear(self) -> None:
        gone = list(self)
        super().clear()
        self._let_go(gone)


#: What takes the place of a container that is set as an attribute.
CONTAINERS: dict[type, Any] = {list: TrackedList, dict: TrackedDict, set: TrackedSet}


def members(value: Any) -> list[Any]:
    """Return what a list, tuple, dictionary or set holds, containers within it taken apart; of all else, the value."""
    if isinstance(value, dict):
        value = list(value.values())
    return [m for v in value for m in members(v)] if isinstance(value, (list, tuple, set)) else [value]
