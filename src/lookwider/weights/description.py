"""``lookwider.json``: what a checkpoint says about its model, and how it is checked."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from lookwider.classes import Classes, ClassMap
from lookwider.errors import CheckpointError
from lookwider.preprocessing import Preprocessing
from lookwider.weights.golden import Golden
from lookwider.weights.safe_files import MAX_JSON_BYTES, parse_json, plain_file

FORMAT = 1
WEIGHTS = "model.safetensors"
DESCRIPTION = "lookwider.json"
OWN_FILES = frozenset({WEIGHTS, DESCRIPTION, "training.safetensors", "training.json"})
"""What a checkpoint folder may hold; a folder with anything else is not overwritten."""

DTYPES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Size = Annotated[int, Field(ge=0)]

MOST_DIMENSIONS = 8
"""Of a tensor: multiplying a million of them would take hours."""


class TensorEntry(BaseModel):
    """Type and shape of one tensor, as safetensors names them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    dtype: str
    shape: Annotated[tuple[Size, ...], Field(max_length=MOST_DIMENSIONS)]

    @classmethod
    def of(cls, name: str, tensor: Tensor) -> TensorEntry:
        """Describe a tensor; ``name`` is for the error message."""
        if tensor.dtype not in DTYPES:
            raise CheckpointError(
                f"tensor {name!r} is {tensor.dtype}, expected one of "
                f"{listed(str(d) for d in DTYPES)}; convert the model before saving"
            )
        return cls(dtype=DTYPES[tensor.dtype], shape=tuple(tensor.shape))

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"


class Description(BaseModel):
    """The content of ``lookwider.json``; see `lookwider.weights.checkpoint` for the meaning."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: int
    versions: dict[str, str]
    architecture: dict[str, Any]
    classes: Classes
    extra_classes: dict[str, Classes]
    class_map: ClassMap | None
    preprocessing: Preprocessing
    alignment: str
    protocol: dict[str, Any]
    scores: dict[str, Any]
    golden: Golden | None = None
    tensors: dict[str, TensorEntry]
    sha256: dict[str, str]

    def with_hashes(self, files: Mapping[str, str]) -> Description:
        """Return the same with the hashes of the other files, and with its own."""
        own = own_hash(self.model_dump(mode="json"))
        return self.model_copy(update={"sha256": {**files, DESCRIPTION: own}})


def describe(folder: str | Path) -> Description:
    """Read ``lookwider.json``, checked against its own hash and its format.

    Raises:
        CheckpointError: it is missing, damaged, edited or newer than this lookwider.
    """
    path = plain_file(Path(folder), DESCRIPTION)
    with path.open("rb") as file:
        data = file.read(MAX_JSON_BYTES + 1)
    content = parse_json(data, path)
    if content.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: got format {content.get('format')!r}, expected {FORMAT}; it was made by a "
            "newer lookwider, or is damaged; try: pip install --upgrade lookwider"
        )
    try:
        description = Description.model_validate_json(data)
    except ValidationError as error:
        raise CheckpointError(f"{path}: {_first_problems(error)}") from error
    hashes = description.sha256
    if {WEIGHTS, DESCRIPTION} - set(hashes) or set(hashes) - OWN_FILES:
        raise CheckpointError(
            f"{path}: got hashes of {listed(hashes)}, expected {WEIGHTS}, {DESCRIPTION} "
            f"and nothing but {listed(OWN_FILES)}"
        )
    if own_hash(content) != hashes[DESCRIPTION]:
        raise CheckpointError(
            f"{path}: does not match its own hash: it is damaged or was edited by hand; copy it "
            "again, or change the model in Python and save it"
        )
    return description


def own_hash(content: Mapping[str, object]) -> str:
    """Return the SHA-256 of everything in a description but its ``sha256``."""
    rest = {key: value for key, value in content.items() if key != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def json_ready(value: object, where: str = "") -> Json:
    """Return ``value`` as JSON holds it: tuples become lists, nan and infinity null.

    Raises:
        CheckpointError: it is something else; the message says where.

    Example:
        >>> json_ready({"sizes": (1, 2), "iou": float("nan")})
        {'sizes': [1, 2], 'iou': None}
    """
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case list() | tuple():
            return [json_ready(v, f"{where}[{i}]") for i, v in enumerate(value)]
        case Mapping() if all(isinstance(key, str) for key in value):
            return {key: json_ready(v, f"{where}.{key}") for key, v in value.items()}
    raise CheckpointError(
        f"got {type(value).__name__} at {where.lstrip('.')!r}, expected text, numbers, lists "
        "or mappings with text keys"
    )


def listed(names: Iterable[str], most: int = 8) -> str:
    """Return names for a message, sorted, the first ``most`` of them.

    Example:
        >>> listed("cab", most=2)
        'a, b and 1 more'
    """
    ordered = sorted(names)
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + more


def _first_problems(error: ValidationError) -> str:
    problems = [
        f"{'.'.join(str(part) for part in e['loc']) or 'content'}: {e['msg']}"
        for e in error.errors(include_url=False, include_input=False)[:5]
    ]
    return "; ".join(problems)
