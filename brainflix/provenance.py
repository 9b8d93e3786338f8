"""What code a stage runs: a digest over the sources that the stage imports, directly or not.

Snakemake compares this digest between runs, so editing a module re-runs exactly the stages that
import it. The digest is taken over the syntax tree without docstrings: comments, formatting and
documentation change nothing. Modules that shape no result are left out: a stage's options reach its
rule by value, so a new key of another stage's section runs nothing again.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
from pathlib import Path

PACKAGE = "brainflix"
NEUTRAL = frozenset(
    {
        "brainflix.artifacts.layout",
        "brainflix.components",
        "brainflix.config",
        "brainflix.console",
        "brainflix.errors",
    }
)
TEMPLATES = {".html", ".css", ".js"}
LARGE = 2**26  # bytes; a file above is known by its size and time, not by its content
_ROOT = Path(__file__).resolve().parent


def module_path(module: str) -> Path | None:
    """Return the source file of a module of this package, or None when it is not one."""
    parts = module.split(".")
    if parts[0] != PACKAGE or not all(part.isidentifier() for part in parts):
        return None
    base = _ROOT.joinpath(*parts[1:])
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _strip_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return tree


@functools.cache
def _parse(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return a source's syntax tree as text and the modules of this package that it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            imported.add(node.module)
            imported.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and str(node.value).startswith(f"{PACKAGE}."):
            imported.add(str(node.value))  # a module that a registry names, to import it when used
    ours = tuple(sorted(name for name in imported if module_path(name) is not None))
    return ast.dump(_strip_docstrings(tree)), ours


def is_neutral(module: str) -> bool:
    """Tell whether a module, or the package that it lies in, shapes no result."""
    return any(module == name or module.startswith(f"{name}.") for name in NEUTRAL)


def imported_modules(module: str) -> tuple[str, ...]:
    """Return ``module`` and the modules of this package it imports, directly or not.

    Modules in ``NEUTRAL``, and what only they import, are left out.
    """
    found: set[str] = set()
    pending = [module]
    while pending:
        name = pending.pop()
        path = module_path(name)
        if name in found or is_neutral(name) or path is None:
            continue
        found.add(name)
        parent = name.rpartition(".")[0]
        pending.extend(_parse(path)[1])
        if parent and parent != PACKAGE:
            pending.append(parent)
    return tuple(sorted(found))


@functools.cache
def code_digest(module: str, *components: str) -> str:
    """Return 16 hexadecimal digits that change when code reachable from a stage changes.

    Page templates in the folders of that code count as code.

    Parameters
    ----------
    module : str
        Full name of the stage's module, such as ``brainflix.alignment.stage``.
    *components : str
        Modules of the components that the stage uses. They are imported by name when they are
        used, so that the stage's own imports do not lead to them; those of other packages count
        by their file.

    Raises
    ------
    ValueError
        When there is no such module.
    """
    if module_path(module) is None:
        raise ValueError(f"no module {module}")
    digest = hashlib.sha256()
    names: set[str] = set(imported_modules(module))
    for component in sorted(set(components)):
        if module_path(component) is not None:
            names.update(imported_modules(component))
        else:
            file = getattr(sys.modules.get(component), "__file__", None)
            digest.update(Path(file).read_bytes() if file else component.encode())
    paths = {name: module_path(name) for name in sorted(names)}
    for name, path in paths.items():
        if path is not None:
            digest.update(name.encode())
            digest.update(_parse(path)[0].encode())
    for folder in sorted({path.parent for path in paths.values() if path is not None}):
        for template in sorted(p for p in folder.iterdir() if p.suffix in TEMPLATES):
            digest.update(template.name.encode())
            digest.update(template.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def model_digest(name: str) -> str:
    """Return 16 hexadecimal digits that change when a pretrained model's files change.

    Parameters
    ----------
    name : str
        A folder, or ``embedded:NAME`` for one that is shipped with this package. Anything else is
        a hub id, whose revisions are not followed: the digest is that of the id.
    """
    kind, _, rest = name.partition(":")
    folder = _ROOT / "embedded" / rest if kind == "embedded" else Path(name)
    digest = hashlib.sha256(name.encode())
    for path in sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else ():
        digest.update(path.relative_to(folder).as_posix().encode())
        facts = path.stat()
        if facts.st_size > LARGE:
            digest.update(f"{facts.st_size} {facts.st_mtime_ns}".encode())
        else:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
