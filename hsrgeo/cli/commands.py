"""How commands read their arguments and show their help, where Typer's own way would not do."""

import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

from hsrgeo.cli.common import options_called
from hsrgeo.errors import printable

_FIRST = ("Arguments", "Options")
_PYDANTIC = re.compile(r"Input should be ([^,]*)")
_TYPE = re.compile(r"<(?:list\[)?(.*?)]?>")  # how Typer shows choices


def _options_of(command: Any, ctx: Any) -> dict[str, Any]:  # noqa: ANN401 - Typer's own Click has no public types
    """Return the options of a command by their names."""
    return {name: param for param in command.get_params(ctx) for name in param.opts if name.startswith("-")}


def _commands_with(option: str, ctx: Any) -> list[str]:  # noqa: ANN401
    """Return which other commands have an option of this name."""
    known = getattr(ctx.find_root().command, "commands", {})
    return [name for name, command in known.items() if option and option in _options_of(command, ctx)]


class _Arguments:
    """Reads arguments: several numbers may be one text (``W,S,E,N``), and no option takes the next one as its value."""

    get_params: Any  # of Typer's class beside this one

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer's own Click has no public types
        """Parse arguments, as Typer does, once the numbers of each option are apart."""
        apart = args if ctx.resilient_parsing else list(self._apart(ctx, args))
        try:
            rest = super().parse_args(ctx, apart)  # type: ignore[misc] # likewise
        except Exception as error:
            name = getattr(error, "option_name", "")
            if others := [] if name in _options_of(ctx.command, ctx) else _commands_with(name, ctx):
                error.possibilities = None  # type: ignore[attr-defined] # names that look alike, and mean something else
                error.message += f" ({', '.join(others)} {'have' if len(others) > 1 else 'has'} it)"  # type: ignore[attr-defined]
            raise
        self._refuse_urls(ctx)
        return rest  # type: ignore[no-any-return] # likewise

    def _refuse_urls(self, ctx: Any) -> None:  # noqa: ANN401
        """Refuse a URL where a path is expected, which keeps only one slash of ``://``."""
        from hsrgeo.sources.urls import has_lost_slash, without_secrets  # noqa: PLC0415 - help needs none of it

        for param in self.get_params(ctx):
            value = ctx.params.get(param.name)
            is_path = isinstance(value, Path) or type(getattr(param, "type", None)).__name__ == "TyperPath"
            # ^ Typer before 0.27 makes the path later
            if is_path and value is not None and has_lost_slash(path := Path(value).as_posix()):
                name = param.metavar if param.param_type_name == "argument" else max(param.opts, key=len)
                url = without_secrets(path.replace(":/", "://", 1))
                ctx.fail(f"{name} {url}: must be a path on this machine, not a URL")

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        """Run the command: messages call its parameters as its options are called."""
        options = [param for param in self.get_params(ctx) if param.param_type_name == "option"]
        names = {param.name.rstrip("_"): max(param.opts, key=len) for param in options}
        for value in ctx.params.values():  # a path or a place may be called as a parameter is
            for typed in value if isinstance(value, list | tuple) else [value]:
                names.pop(str(typed), None)
        with options_called(names):
            return super().invoke(ctx)  # type: ignore[misc] # as above

    def _apart(self, ctx: Any, args: list[str]) -> Iterator[str]:  # noqa: ANN401
        options = _options_of(self, ctx)
        rest = deque(args)
        while rest:
            arg = rest.popleft()
            name, equals, attached = arg.partition("=")
            option = options.get(name)
            if arg == "--" or option is None or getattr(option, "is_flag", False):
                yield arg
                if arg == "--":
                    yield from rest
                    return
                continue
            if equals:
                rest.appendleft(attached)
            parts = rest[0].split(",") if rest and option.nargs > 1 else []
            if len(parts) > 1:
                rest.popleft()
                values = [part.strip() for part in parts if part.strip()]
            else:
                values = [rest.popleft() for _ in range(min(option.nargs, len(rest)))]
            swallowed = (value.partition("=")[0] in options for value in (values[1:] if equals else values))
            if len(values) != option.nargs or any(swallowed):
                some = "an argument" if option.nargs == 1 else f"{option.nargs} arguments: {option.metavar}"
                ctx.fail(f"Option '{name}' requires {some}.")
            if equals and option.nargs == 1:
                yield arg
            else:
                yield name
                yield from values

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """Write the options, by what they are for: `rich_help_panel` has it."""
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in _FIRST}
        for param in self.get_params(ctx):
            if (row := param.get_help_record(ctx)) is not None:
                is_argument = param.param_type_name == "argument"
                title = getattr(param, "rich_help_panel", None) or _FIRST[0 if is_argument else 1]
                name = row[0].partition(" <")[0] if is_argument else _TYPE.sub(r"\1", row[0])
                sections.setdefault(title, []).append((name, row[1]))
        _write(formatter, sections)


class Command(_Arguments, TyperCommand):
    """A command."""


class Commands(TyperGroup):
    """Commands, listed by what they are for.

    What a wrong argument says is made harmless: a shell's ``*`` gives names of files, which may begin as options.
    """

    def make_context(self, *args: Any, **extra: Any) -> Any:  # noqa: ANN401 - as Typer has it
        """Parse arguments."""
        with _harmless_usage():
            return super().make_context(*args, **extra)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - as Typer has it
        """Find the command: one with a name of two words, such as ``watch status``, goes before that of one."""
        words, rest = args[:2], args[2:]
        if (command := self.get_command(ctx, " ".join(words))) is not None:
            return " ".join(words), command, rest
        return super().resolve_command(ctx, args)

    def invoke(self, *args: Any) -> Any:  # noqa: ANN401 - as Typer has it
        """Run the command that was named."""
        with _harmless_usage():
            return super().invoke(*args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """Write the commands, each with the whole first paragraph of its help."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                first = " ".join((command.help or "").partition("\n\n")[0].split())
                title = getattr(command, "rich_help_panel", None)
                sections.setdefault(title if isinstance(title, str) else "Commands", []).append((name, first))
        _write(formatter, sections)


class CommandWithMore(_Arguments, Commands):
    """A command with options of its own that has other commands below it."""

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """Write the options, and the commands."""
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


def _write(formatter: Any, sections: dict[str, list[tuple[str, str]]]) -> None:  # noqa: ANN401
    for title, rows in sections.items():
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)


@contextmanager
def _harmless_usage() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        is_help = type(error).__name__ == "NoArgsIsHelpError"  # whose message is the help, in its lines
        if hasattr(error, "format_message") and hasattr(error, "message") and not is_help:  # Click's own errors
            error.message = printable(_plain_words(error))
        raise


def _plain_words(error: Any) -> str:  # noqa: ANN401
    """Return a message of Click; one that Typer took over from pydantic in plain words, with the value."""
    message: str = error.message
    if match := _PYDANTIC.match(message):
        cause: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
        found = f"{cause[0]['input']!r}: " if cause else ""
        expected = match[1].replace("a valid integer", "a whole number").replace("a valid ", "a ")
        return f"{found}expected {expected}"
    return message.replace("Value error, ", "", 1)
