"""A picture of a model in Graphviz's language, DOT, and drawn by Graphviz's program `dot` where it is installed."""

import shutil
import warnings
from typing import Any

from .boxes import Box, Frame, Picture


class Dot:
    """A graph in Graphviz's language, with the methods of `pydot.Dot` that scripts use.

    Args:
        source: the text.
    """

    def __init__(self, source: str):
        self.source = source

    def to_string(self) -> str:
        """Return the text."""
        return self.source

    __str__ = to_string

    def create(self, prog: str = "dot", format: str = "ps") -> bytes:
        """Return the picture, drawn by Graphviz.

        Raises:
            FileNotFoundError: the program isn't installed.
            RuntimeError: it failed.
        """
        import subprocess

        found = shutil.which(prog)
        if found is None:
            raise FileNotFoundError(f"Graphviz's program {prog!r} is not installed; plot_model draws without it.")
        done = subprocess.run([found, f"-T{format}"], input=self.source.encode(), capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{prog} failed: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def write(self, path: Any, prog: str = "dot", format: str = "raw") -> bool:
        """Write the picture, or with `"raw"` the text, to a file."""
        data = self.source.encode() if format == "raw" else self.create(prog, format)
        with open(path, "wb") as file:
            file.write(data)
        return True


def dot_source(picture: Picture) -> str:
    """Return the graph in DOT."""
    options = picture.options
    lines = [
        "digraph model {",
        f"  graph [rankdir={options.rankdir}, dpi={options.dpi}, splines={options.splines}];",
        '  node [shape=plain, fontname="Helvetica"];',
        "  edge [penwidth=2];",
    ]

    def write(frame: Frame, indent: str) -> None:
        for member in frame.members:
            if isinstance(member, Frame):
                lines.append(f"{indent}subgraph {member.key} {{")
                lines.append(
                    f'{indent}  label="{_quoted(member.name)}"; labeljust=l; style=dashed; fontname="Helvetica";'
                )
                write(member, indent + "  ")
                lines.append(f"{indent}}}")
            else:
                lines.append(f"{indent}{member.key} [label=<{_html(member)}>];")

    write(picture.frame, "  ")
    lines += [f"  {a.key} -> {b.key};" for a, b in picture.arrows]
    return "\n".join([*lines, "}\n"])


def _html(box: Box) -> str:
    from html import escape

    span = max([1, *(len(row) for row in box.rows)])
    name, kind = map(escape, box.title)
    table = '<table border="0" cellborder="1" cellspacing="0" cellpadding="8" bgcolor="white">'
    title = f'<font point-size="16" color="white"><b>{name}</b>{kind}</font>'
    table += f'<tr><td colspan="{span}" bgcolor="black">{title}</td></tr>'
    for row in box.rows:
        cells = ""
        for i, (what, value, colour) in enumerate(row):
            width = span - i if i == len(row) - 1 else 1
            paint = f' bgcolor="{colour}"' if colour else ""
            ink = ' color="white"' if colour else ""
            cells += f'<td colspan="{width}"{paint}><font point-size="14"{ink}>{what}<b>{escape(value)}</b></font></td>'
        table += f"<tr>{cells}</tr>"
    return table + "</table>"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def written_by_graphviz(picture: Picture, to_file: str, extension: str) -> bool:
    """Let Graphviz draw; False, with a warning, where it can't."""
    try:
        data = Dot(dot_source(picture)).create(format=extension)
    except (OSError, RuntimeError) as error:
        warnings.warn(f"plot_model: drawn without Graphviz, which failed: {error}", stacklevel=3)
        return False
    with open(to_file, "wb") as file:
        file.write(data)
    return True
