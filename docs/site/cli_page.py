"""docs/reference/cli.md: every command with its options, of click's own objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import cleandoc

import click

from docs.site.tables import MADE, code, sentence, table
from radius_mfa.cli.main import app

_HEAD = f"""\
# The command line

{MADE}
`radius-mfa`, and `python -m radius_mfa`. Every command takes `--config FILE`, before or after the verb; without it
`$RADIUS_MFA_CONFIG` counts, and without that `/etc/radius-mfa/radius-mfa.yaml`; and `--help`.

| exit status | means |
|---|---|
| 0 | done |
| 1 | refused, or failed |
| 2 | the command line or the configuration is wrong |

What goes wrong is one line on standard error.

"""
_EVERYWHERE = {"--config", "--help", "-h"}


@dataclass(frozen=True)
class Command:
    """A command by its words, such as `user enrol`."""

    words: tuple[str, ...]
    command: click.Command

    @property
    def options(self) -> frozenset[str]:
        """All that may be said to it, `--config` and `--help` too."""
        own = (each for param in self.command.params for each in (*param.opts, *param.secondary_opts))
        return frozenset(own) | _EVERYWHERE


def commands() -> Iterator[Command]:
    """Every command, groups before what is in them."""
    yield from _below(app, ())


def _below(group: click.Group, words: tuple[str, ...]) -> Iterator[Command]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        yield Command((*words, name), command)
        if isinstance(command, click.Group):
            yield from _below(command, (*words, name))


def page() -> str:
    return (_HEAD + "".join(map(_command, commands()))).rstrip("\n") + "\n"


def _command(each: Command) -> str:
    level = "#" * (len(each.words) + 1)
    text = _text(each.command.help or "")
    title = f"{level} {code(' '.join(('radius-mfa', *each.words)))}\n\n"
    if isinstance(each.command, click.Group):
        return f"{title}{text}\n\n"
    usage = " ".join(("radius-mfa", *each.words, *_arguments(each.command)))
    return f"{title}{text}\n\n```text\nUsage: {usage}\n```\n\n{_options(each.command)}"


def _text(help_: str) -> str:
    """What `--help` says, in Markdown: paragraphs, and what stands in capitals and options as code."""
    return cleandoc(help_.partition("\f")[0]).replace("*", "\\*")


def _arguments(command: click.Command) -> Iterator[str]:
    if any(isinstance(each, click.Option) for each in command.params):
        yield "[OPTIONS]"
    for each in command.params:
        if isinstance(each, click.Argument):
            name = each.metavar or (each.name or "").upper()
            yield (name if each.required else f"[{name}]") + ("..." if each.nargs == -1 else "")


def _options(command: click.Command) -> str:
    rows = [
        (_spelt(each), sentence(each.help or "") + _unless_given(each))
        for each in command.params
        if isinstance(each, click.Option) and not each.hidden and not _EVERYWHERE & {*each.opts}
    ]
    return table(("option", "what it is"), rows) if rows else ""


def _unless_given(option: click.Option) -> str:
    return f" {code(str(option.default))} unless given." if option.show_default else ""


def _spelt(option: click.Option) -> str:
    names = ", ".join((*option.opts, *option.secondary_opts))
    if option.is_flag or option.count:
        return code(names)
    if isinstance(option.type, click.Choice):
        value = "|".join(map(str, option.type.choices))
    else:
        value = option.metavar or {"integer": "N", "float": "SECONDS"}.get(option.type.name.split()[0], "TEXT")
    return code(f"{names} {value}")
