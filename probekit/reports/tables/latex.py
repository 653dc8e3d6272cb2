r"""A table as LaTeX: `booktabs` and nothing else.

\usepackage{booktabs}
"""

import re

from probekit.reports.tables.table import Cell, Table

ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "_": r"\_", "&": r"\&", "%": r"\%", "#": r"\#", "$": r"\$",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "`": r"\`{}",
    "−": "$-$", "–": "--", "—": "---", "…": r"\ldots{}", "·": r"\textperiodcentered{}", "×": r"$\times$",
    "→": r"$\rightarrow$", "↓": r"$\downarrow$", "∞": r"$\infty$", "²": r"\textsuperscript{2}", "±": r"$\pm$",
    "≥": r"$\geq$", "≤": r"$\leq$", "σ": r"$\sigma$", "τ": r"$\tau$", "’": "'", "‘": "`", "“": "``", "”": "''",
}  # fmt: skip
"""Characters with a meaning of their own, and those beyond ASCII that our own words use."""

SPECIAL = re.compile("|".join(re.escape(character) for character in ESCAPES))


def latex(table: Table) -> str:
    """A `table` with caption and label; ends with a line break."""
    width = len(table.columns)
    axis = []
    if table.axis and width > 1:
        axis = [
            rf"     & \multicolumn{{{width - 1}}}{{c}}{{{escape(table.axis)}}} \\",
            rf"    \cmidrule(lr){{2-{width}}}",
        ]
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}[t]",
        r"  \centering",
        rf"  \caption{{{escape(table.caption)}}}",
        rf"  \label{{tab:{label(table.name)}}}",
        rf"  \begin{{tabular}}{{{''.join('r' if right else 'l' for right in table.right)}}}",
        r"    \toprule",
        *axis,
        _row([Cell(name) for name in table.columns]),
        r"    \midrule",
        *(_row(row) for row in table.rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """The text with nothing in it that LaTeX would take for its own; line breaks are spaces."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return SPECIAL.sub(lambda found: ESCAPES[found[0]], flat)


def label(name: str) -> str:
    """The name as a reference takes it: letters, digits, points and dashes."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.") or "table"


def _row(cells: "tuple[Cell, ...] | list[Cell]") -> str:
    texts = [rf"\textbf{{{escape(cell.text)}}}" if cell.bold and cell.text else escape(cell.text) for cell in cells]
    if texts[0][:1] in ("[", "*"):  # after the \\ of the row above it would be an option of it
        texts[0] = f"{{{texts[0][0]}}}{texts[0][1:]}"
    return rf"    {' & '.join(texts)} \\"
