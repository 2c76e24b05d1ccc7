"""Opening a `.pt2` without unpickling anything.  No torch here.

`torch.export.load` unpickles three parts of an archive (sample inputs, tensors of odd classes, custom objects), loads
compiled libraries, evaluates size expressions as Python, and calls any attribute of torch that a node names.  So torch
is given a copy with no sample inputs, made only when nothing else of that kind is inside.
"""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from split_core.errors import ModelError, reason

JSON_BYTES = 256 << 20  # a graph of a hundred thousand nodes
_OPERATOR = re.compile(
    r"torch\.ops\.(aten|prims|prim|torchvision|quantized_decomposed|rngprims)\.\w+\.\w+"
    r"|torch\.ops\.higher_order\.\w+|torch\.sym_\w+|math\.\w+"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|getitem|eq|ne|lt|le|gt|ge|and_|or_|xor|not_|lshift|rshift)"
)
_EXPRESSION_WORDS = re.compile(
    r"Integer|Float|Rational|Symbol|Add|Mul|positive|nonnegative|integer|real|precision|[su]\d+|zuf\d+|zf\d+|oo|int_oo|True|False|Eq|Ne|Lt|Le|Gt|Ge|And|Or|Not|Max|Min|Pow|Mod|PythonMod|FloorDiv|CleanDiv"
    r"|CeilDiv|CeilToInt|FloorToInt|TruncToInt|ToFloat|IntTrueDiv|FloatTrueDiv|PowByNatural|ModularIndexing|Where|Piecewise"
)
_EXPRESSION_MARKS = re.compile(r"[\w\s()'+\-*/,<>=!&|~%.]*")

# What zipfile and json raise for odd bytes, and what looking into JSON of another form does.
_DAMAGE = (
    zipfile.BadZipFile,
    ValueError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    LookupError,
    TypeError,
    AttributeError,
)


def copy_without_pickles(path: Path, copy: Path) -> str:
    """Check the archive at `path` and write what may be loaded of it to `copy`; the graph as JSON text.

    Raises:
        ModelError: missing, damaged, not of this format, or with a part that loading would unpickle or run.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = _relative_names(path, archive)
            graph = _checked(path, archive, names)
            _write_copy(archive, names, copy)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({reason(error)}); expected a .pt2 file") from error
    except _DAMAGE as error:
        raise _damaged(path) from error
    return graph


def _relative_names(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Entries by their name below the archive's one root folder."""
    names: dict[str, zipfile.ZipInfo] = {}
    roots = set()
    for entry in archive.infolist():
        root, _, name = entry.filename.partition("/")
        roots.add(root)
        if name in names or entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise _damaged(path)
        names[name] = entry
    if len(roots) != 1 or "archive_format" not in names or archive.read(names["archive_format"]) != b"pt2":
        raise _damaged(path)
    return names


def _checked(path: Path, archive: zipfile.ZipFile, names: dict[str, zipfile.ZipInfo]) -> str:
    models = [name for name in names if name.startswith("models/")]
    if models != ["models/model.json"]:
        raise ModelError(f"{path}: expected one program named 'model', as torch.export.save writes it; got {models}")
    for name in names:
        if name.startswith(("data/aotinductor/", "data/executorch/")) or _legacy(name):
            raise ModelError(f"{path}: carries {name!r}, which is compiled or pickled; save it with torch.export.save")
    for part in ("weights", "constants"):
        _refuse_pickles(path, part, json.loads(_text(archive, names[f"data/{part}/model_{part}_config.json"])))
    graph = _text(archive, names["models/model.json"])
    _check_graph(path, json.loads(graph))
    return graph


def _legacy(name: str) -> bool:
    return name.startswith(("data/weights/", "data/constants/")) and name.endswith(".pt")


def _text(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    if entry.file_size > JSON_BYTES:
        raise ValueError(f"{entry.filename} has {entry.file_size} bytes")
    return archive.read(entry).decode()


def _refuse_pickles(path: Path, part: str, config: Any) -> None:
    for name, entry in config["config"].items():
        file = entry["path_name"]
        if entry["use_pickle"] or not re.fullmatch(r"(weight|tensor)_\d+", file):
            raise ModelError(
                f"{path}: {part[:-1]} {name!r} is pickled, and nothing is ever unpickled here; "
                "give the network as module:factory, or as ONNX"
            )


def _check_graph(path: Path, program: Any) -> None:
    for item in _dicts(program):
        target, expression = item.get("target"), item.get("expr_str")
        if isinstance(target, str) and "inputs" in item and not _OPERATOR.fullmatch(target):
            raise ModelError(f"{path}: its graph calls {target!r}, which is no operator of torch that can be exported")
        if isinstance(expression, str) and not _is_arithmetic(expression):
            raise ModelError(f"{path}: a size is the expression {expression[:60]!r}, which is not arithmetic on sizes")


def _is_arithmetic(expression: str) -> bool:
    words = re.findall(r"(?<![\w.])[A-Za-z_]\w*", expression)
    marks_fit = _EXPRESSION_MARKS.fullmatch(expression) and not re.search(r"\.\s*[A-Za-z_]", expression)
    return bool(marks_fit) and all(_EXPRESSION_WORDS.fullmatch(word) for word in words)


def _dicts(tree: Any) -> Iterator[dict[str, Any]]:
    pending = [tree]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield item
            pending += item.values()
        elif isinstance(item, list):
            pending += item


def _write_copy(archive: zipfile.ZipFile, names: dict[str, zipfile.ZipInfo], copy: Path) -> None:
    with zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as made:
        for name, entry in names.items():
            if name.startswith("data/sample_inputs/"):
                made.writestr(entry.filename, b"")
            elif not name.startswith("extra/"):
                with archive.open(entry) as source, made.open(entry.filename, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target)


def _damaged(path: Path) -> ModelError:
    return ModelError(f"{path}: not a file of torch.export.save, or a damaged one; export or copy it again")
