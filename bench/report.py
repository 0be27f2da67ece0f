"""Figures over rounds, and the tables and bars that are printed from them."""

import math
import statistics


class Figures:
    """Values of one figure by round."""

    def __init__(self, values):
        self.values = [v for v in values if v is not None and not math.isnan(v)]

    @property
    def median(self):
        return statistics.median(self.values) if self.values else float("nan")

    @property
    def worst(self):
        return max(self.values, default=float("nan"))

    def over(self, other):
        """Ratios, round by round."""
        return Figures([a / b for a, b in zip(self.values, other.values, strict=True)])

    def plus(self, other, factor=1.0):
        """Sums, round by round."""
        return Figures([a + factor * b for a, b in zip(self.values, other.values, strict=True)])

    def spread(self, form="{:.2f}"):
        if len(self.values) < 2:
            return ""
        return f"{form.format(min(self.values))} to {form.format(max(self.values))}"


def rate(value):
    return "-" if math.isnan(value) else f"{value / 1e3:,.0f} k"


def cpu(value):
    return "-" if math.isnan(value) else f"{value:.2f}"


def megabytes(value):
    return f"{value / 1e6:.0f} MB"


def table(header, rows):
    """A Markdown table that is readable as it is."""
    cells = [header, *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
             for row in cells]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


class Bars:
    """What is held, and whether it does."""

    def __init__(self):
        self.rows = []

    def at_most(self, what, figures, limit, value=None, form="{:.2f}"):
        self._add(what, figures, "<=", limit, value, form)

    def below(self, what, figures, limit, value=None, form="{:.2f}"):
        self._add(what, figures, "<", limit, value, form)

    def at_least(self, what, figures, limit, value=None, form="{:.2f}"):
        self._add(what, figures, ">=", limit, value, form)

    def _add(self, what, figures, relation, limit, value, form):
        value = figures.median if value is None else value
        holds = {"<=": value <= limit, "<": value < limit, ">=": value >= limit}[relation]
        self.rows.append([what, form.format(value), f"{relation} {form.format(limit)}",
                          "PASS" if holds else "MISS", figures.spread(form)])

    def table(self):
        return table(["bar", "measured", "limit", "", "over the rounds"], self.rows)

    @property
    def missed(self):
        return sum(row[3] == "MISS" for row in self.rows)
