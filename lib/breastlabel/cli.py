"""The ``breastlabel`` command.

Exit codes: 0 done, 1 failed, 2 wrong arguments, 130 interrupted. An error is one line on stderr that says
what was required, what came, and the remedy. Commands import what they need when they run, so that
``--help`` answers at once.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from breastlabel import __version__
from breastlabel.commands import (
    data,
    evaluation,
    labels,
    models,
    predict,
    report,
    score,
    serve,
    simulate,
    system,
    training,
    users,
)
from breastlabel.commands.options import help_of
from breastlabel.errors import BreastLabelError, UnknownNameError

__all__ = ["app", "main"]

FAILED, WRONG_ARGUMENTS, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    name="breastlabel",
    no_args_is_help=True,
    add_completion=False,
    # A bug shows a plain traceback, without the values of variables.
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Breast lesions in MONAI Label: segment, classify, correct, retrain.\n\n"
    "For research. Not a medical device.",
    epilog="`breastlabel COMMAND --help` shows a command's options and examples.",
)

_COMMANDS: dict[str, Callable[..., None]] = {
    "serve": serve.serve,
    "import": data.import_,
    "phantom": data.phantom,
    "train": training.train,
    "predict": predict.predict,
    "report": report.report,
    "evaluate": evaluation.evaluate,
    "ablate": evaluation.ablate,
    "simulate": simulate.simulate,
    "score": score.score,
}
for _name, _command in _COMMANDS.items():
    app.command(_name, help=help_of(_command))(_command)
app.add_typer(models.app, name="models")
app.add_typer(labels.app, name="labels")
app.add_typer(users.app, name="users")
app.command("doctor", help=help_of(system.doctor))(system.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and end.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """The options before the command; `_print_version` has seen to the only one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: without the program's name; the process's own by default.
    """
    # Dependencies must not call out from a hospital's network unasked.
    for name in ("MLFLOW_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "true")
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    try:
        code = app(args=arguments, prog_name="breastlabel", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        # Of the parser: unknown options, missing arguments, values that are none of the choices.
        return _report(_sentence(error), error.exit_code)
    except UnknownNameError as error:
        return _report(str(error), WRONG_ARGUMENTS)
    except BreastLabelError as error:
        return _report(str(error), FAILED)
    except (KeyboardInterrupt, typer.Abort):
        return _report("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output left, as `| head` does; Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        return _report(_os_error(error), FAILED)
    # The parser turns Ctrl-C within a command into this code, without a word.
    return _report("interrupted", INTERRUPTED) if code == INTERRUPTED else int(code or 0)


def _report(message: str, code: int) -> int:
    """One line on stderr, whatever the message holds."""
    line = " ".join(message.split())
    if line:
        print(f"breastlabel: {line}", file=sys.stderr)
    return code


def _sentence(error: typer.TyperException) -> str:
    formatted = getattr(error, "format_message", None)
    message = str(formatted() if formatted else error).rstrip(".")
    context = getattr(error, "ctx", None)
    if context is None or not message:
        return message
    # Where a command was named without arguments its help was asked for; it is several lines long.
    if "Usage:" in message:
        return ""
    return f"{message}; see '{context.command_path} --help'"


def _os_error(error: OSError) -> str:
    where = "" if error.filename is None else f" '{error.filename}'"
    if error.errno == errno.ENOSPC:
        return f"room on the disk is required; it is full{where}; free some and run again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"permission is required for{where or ' a file'}; it is refused; check its owner and mode"
    return f"{error.strerror or type(error).__name__}{where}"


if __name__ == "__main__":
    sys.exit(main())
