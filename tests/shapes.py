"""The shapes that ``algorithms`` and ``engine`` declare are checked whenever a test calls a function there.

The package names jaxtyping for type checkers only: users neither need it nor pay for it. Here a hook wraps
the public functions and methods of these rooms while they are imported. In a call a letter is one size, in
all arguments and the result; in a named tuple among them it is one size in all fields.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype
from beartype.door import is_bearable
from beartype.vale import Is

ROOMS = ("metanas_pl.algorithms", "metanas_pl.engine")
SHAPES = {name: getattr(jaxtyping, name) for name in ("Bool", "Float", "Int", "Shaped")}
CONFIG = BeartypeConf(is_pep484_tower=True)  # an int is a float


def install() -> None:
    """Checks what is imported from now on."""
    sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name.startswith(ROOMS) else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_check(module: types.ModuleType) -> None:
            execute(module)
            check_module(module)

        spec.loader.exec_module = execute_and_check  # type: ignore[method-assign]
        return spec


def check_module(module: types.ModuleType) -> None:
    """Replaces the public functions and methods that ``module`` defines with checked ones."""
    known = {**SHAPES, **vars(module)}
    for name, value in list(vars(module).items()):
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(value):
            setattr(module, name, checked(value, known))
        elif inspect.isclass(value) and not is_protocol(value):
            for key, method in list(vars(value).items()):
                if not key.startswith("_") and inspect.isfunction(method):
                    setattr(value, key, checked(method, known, value))


def checked(
    function: Callable[..., Any], known: dict[str, Any], owner: type | None = None
) -> Callable[..., Any]:
    """Returns ``function`` as it refuses arguments and results of other shapes than it declares."""
    hints = get_type_hints(function, known, include_extras=True)
    if owner is not None:
        hints["self"] = owner
    hints = {name: _with_fields(hint) for name, hint in hints.items()}
    if not any(map(_has_shape, hints.values())):
        return function
    function.__annotations__ = hints
    # One look at arguments and result: jaxtyping's other order looks twice at the arguments.
    return jaxtyping.jaxtyped(beartype(conf=CONFIG)(function), typechecker=None)


def _with_fields(hint: Any) -> Any:
    """``hint``; for a named tuple or a protocol with the shapes of its fields."""
    if not inspect.isclass(hint):
        return hint
    known = {**SHAPES, **vars(sys.modules[hint.__module__])}
    if is_protocol(hint):
        getters = {k: p.fget for k, p in vars(hint).items() if isinstance(p, property)}
        fields = {k: get_type_hints(get, known)["return"] for k, get in getters.items()}
        hint = object
    elif issubclass(hint, tuple) and hasattr(hint, "_fields"):
        fields = get_type_hints(hint, known)
    else:
        return hint
    shapes = {name: field for name, field in fields.items() if _has_shape(field)}

    def fit(value: Any) -> bool:
        with jaxtyping.jaxtyped("context"):
            return all(is_bearable(getattr(value, k), of, conf=CONFIG) for k, of in shapes.items())

    return Annotated[hint, Is[fit]] if shapes else hint


def _has_shape(hint: Any) -> bool:
    """Whether there is a shape anywhere in ``hint``."""
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return get_origin(hint) is Annotated or any(map(_has_shape, get_args(hint)))


def is_protocol(value: Any) -> bool:
    """Returns whether ``value`` is a protocol, whose methods are never called."""
    return getattr(value, "_is_protocol", False)
