"""The verbs of the command line, in the order of use, each imported only when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from lookwider.cli.console import messages


class Verb(NamedTuple):
    """One verb.

    Attributes:
        target: ``module:name`` of its function or group, as entry points are written.
        line: what it does, in one line of a terminal.
    """

    target: str
    line: str


STAGES: Mapping[str, Mapping[str, Verb]] = {
    "start": {
        "demo": Verb("demo:demo", "train three systems on built-in scenes and compare them"),
        "doctor": Verb("doctor:doctor", "is this installation sound, and how fast is it?"),
    },
    "data": {
        "data": Verb("data:app", "data check PATH: what is there, and what is wrong"),
    },
    "train": {
        "train": Verb("train:train_command", "train a recipe; stop and go on at any time"),
    },
    "measure": {
        "evaluate": Verb("evaluate:evaluate", "mean IoU, each class, confusion, worst images"),
        "diagnose": Verb("diagnose:diagnose", "why it fails, and what a second run mends"),
        "report": Verb("report:report", "one HTML page that compares runs"),
    },
    "use": {
        "predict": Verb("predict:predict", "segment image files, of any size and number"),
        "export": Verb("export:export", "a file for ONNX Runtime, OpenVINO or PyTorch, checked"),
        "serve": Verb("serve:serve", "a page to try networks on, and a service for programs"),
    },
    "share": {
        "push": Verb("hub:push", "upload a run and its model card to the Hugging Face Hub"),
    },
    "study": {
        "probe": Verb("probe:app", "what a network looks at: fields, scales, context"),
        "ablate": Verb("ablate:ablate", "train a table of the papers again"),
        "bench": Verb("bench:bench", "how fast every stage is on this machine"),
    },
    "checkpoints": {
        "convert": Verb("convert:convert", "a released Caffe or PyTorch network as a checkpoint"),
        "verify": Verb("verify:verify", "is a checkpoint what it was when it was written?"),
    },
}
"""Verbs by stage of the work."""

VERBS = {name: verb for verbs in STAGES.values() for name, verb in verbs.items()}


def open_verb(name: str) -> Any:
    """Import a verb and return its command or group, with its options.

    Example:
        >>> [option.name for option in open_verb("verify").params]
        ['run', 'as_json']
    """
    module, _, attribute = VERBS[name].target.partition(":")
    found = getattr(import_module(f"lookwider.cli.{module}"), attribute)
    if isinstance(found, typer.Typer):
        group = typer.main.get_group(found)
        group.name = name
        return group
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(name=name)(found)
    return typer.main.get_command(alone)


class LazyGroup(TyperGroup):
    """Knows every verb by one line, and imports the one that is called.

    PyTorch and the training engine take seconds to import; help and completion need neither.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for stage, verbs in STAGES.items():
            for name, verb in verbs.items():
                line = TyperCommand(name, help=verb.line, rich_help_panel=stage)
                self.add_command(line, name)

    def invoke(self, ctx: Any) -> Any:
        """Run a verb; it is said when Ctrl-C stops it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            messages.print("stopped")
            raise

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the verb that words begin with, and import it."""
        name, line, rest = super().resolve_command(ctx, args)
        return name, line and open_verb(str(name)), rest
