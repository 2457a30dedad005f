"""What code a result depends on, and a digest of it.

A unit is computed by a function of some module. It depends on that module, on the modules whose names the function
uses, directly or through others of its module, and on everything that these import from this package or from their own.
The digest is of the syntax trees without comments and docstrings: words may change without voiding results, while one
changed number voids them. Modules that carry work and results, but compute none, are left out.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

_ROOT = "iclab"
_CARRIERS = {
    "iclab",
    *(
        f"iclab.studies.{name}"
        for name in (
            "code",
            "executors",
            "folder",
            "grid",
            "lab",
            "results",
            "runner",
            "store",
            "study",
            "trainings",
            "cluster",
        )
    ),
    *(f"iclab.foundations.{name}" for name in ("errors", "files", "validation", "arrays")),
}


def digest_of(module: str, name: str = "") -> str:
    """Digest of a module and of what it imports, or only of what one name of it uses.

    Parameters
    ----------
    module : str
        Full name; a module of a study's folder must be loaded.
    name : str
        A function or class at the top of the module; the whole module when omitted.
    """
    return digest_of_all([(module, name)])


def digest_of_all(starts: Iterable[tuple[str, str]]) -> str:
    """Digest of several modules, or names of modules, and of what they import."""
    closure: dict[str, str] = {}
    waiting: list[str] = []
    for module, name in starts:
        found = _source(module)
        if found is not None:
            closure[module] = found.digest
            waiting.extend(found.imported(name))
    while waiting:
        module = waiting.pop()
        if module in closure or module in _CARRIERS:
            continue
        found = _source(module)
        if found is not None:
            closure[module] = found.digest
            waiting.extend(found.imported())
    return sha256("".join(f"{name} {closure[name]}\n" for name in sorted(closure)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Source:
    """One module's code.

    Attributes
    ----------
    digest : str
        Of its syntax tree.
    homes : dict
        Name that it imports to the module that defines it.
    uses : dict
        Name at its top to the names that it uses.
    """

    digest: str
    homes: dict[str, str]
    uses: dict[str, frozenset[str]]

    def imported(self, name: str = "") -> set[str]:
        """Modules that it imports, or that one of its names uses, directly or through other names of it."""
        if name not in self.uses:
            return set(self.homes.values())
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            current = waiting.pop()
            if current not in seen:
                seen.add(current)
                waiting.extend(self.uses.get(current, ()))
        return {self.homes[used] for used in seen if used in self.homes}


def _source(module: str) -> _Source | None:
    path = _path(module)
    return None if path is None else _read(module, path, path.stat().st_mtime_ns)


@cache
def _read(module: str, path: Path, changed: int) -> _Source:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    # A package that passes names on is no dependency of those who import them from it.
    is_package = path.name == "__init__.py"
    homes = {} if is_package else dict(_imports(tree, module))
    uses = {name: frozenset(_names(node)) for node in tree.body for name in _bound(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _is_text(node.body):
            del node.body[0]
    return _Source(sha256(ast.dump(tree).encode()).hexdigest(), homes, uses)


def _is_text(body: list[ast.stmt]) -> bool:
    """Whether a body begins with a docstring."""
    first = body[0] if body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


def _bound(node: ast.stmt) -> Iterator[str]:
    """Names that a statement at the top of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            yield from (inner.id for inner in ast.walk(target) if isinstance(inner, ast.Name))


def _names(node: ast.AST) -> Iterator[str]:
    """Names that a statement uses; those that it imports itself are names too."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            yield inner.id
        elif isinstance(inner, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in inner.names)


def _imports(tree: ast.Module, module: str) -> Iterator[tuple[str, str]]:
    """Names imported from this package or the module's own, at the top or in functions, and where they are defined."""
    roots = (_ROOT, module.partition(".")[0])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in roots:
                    yield alias.asname or alias.name.partition(".")[0], alias.name
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, module)
            if base.partition(".")[0] in roots:
                for alias in node.names:
                    yield alias.asname or alias.name, _home(base, alias.name)


def _base(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    package = module.split(".")[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


@cache
def _home(module: str, name: str) -> str:
    """The module where ``name``, imported from ``module``, is defined."""
    path = _path(module)
    if path is None or path.name != "__init__.py":
        return module
    if _path(f"{module}.{name}") is not None:
        return f"{module}.{name}"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _home(_base(node, f"{module}.__init__"), alias.name)
    return module


def _path(module: str) -> Path | None:
    """The source of a module of this package, or of one that is loaded; None if there is none."""
    origin = getattr(sys.modules.get(module), "__file__", None)
    if origin is None and module.partition(".")[0] == _ROOT:
        try:
            spec = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            return None
        origin = spec.origin if spec else None
    return Path(origin) if origin and origin.endswith(".py") else None
