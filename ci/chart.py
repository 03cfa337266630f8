"""Charts as SVG: panels with axes on which points are placed, marks, lines, a legend. Only what the figures of docs/ need."""
import math
from dataclasses import dataclass


@dataclass
class Axis:
    low: float
    high: float
    ticks: tuple
    label: str = ""
    log: bool = False
    names: tuple = ()  # of the ticks; their numbers where there are none

    def fraction(self, value):
        if not self.log:
            return (value - self.low) / (self.high - self.low)
        return (math.log(max(value, self.low)) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))

    def labelled(self):
        return zip(self.ticks, self.names or [f"{tick:g}" for tick in self.ticks])


@dataclass
class Panel:
    left: float
    title: str
    x: Axis
    y: Axis
    width: float = 480
    height: float = 380
    top: float = 66

    def place(self, x, y):
        return (round(self.left + self.x.fraction(x) * self.width, 1),
                round(self.top + (1 - self.y.fraction(y)) * self.height, 1))

    def axes(self):
        bottom = self.top + self.height
        out = [f'<text class="title" x="{self.left + self.width / 2}" y="{self.top - 20}">{self.title}</text>']
        for tick, name in self.x.labelled():
            at, _ = self.place(tick, self.y.low)
            out.append(f'<path class="grid" d="M{at} {self.top}V{bottom}"/>')
            out.append(f'<text class="tick" text-anchor="middle" x="{at}" y="{bottom + 18}">{name}</text>')
        for tick, name in self.y.labelled():
            _, at = self.place(self.x.low, tick)
            out.append(f'<path class="grid" d="M{self.left} {at}h{self.width}"/>')
            out.append(f'<text class="tick" text-anchor="end" x="{self.left - 7}" y="{at + 4}">{name}</text>')
        middle = self.left + self.width / 2
        out.append(f'<text class="tick" text-anchor="middle" x="{middle}" y="{bottom + 38}">{self.x.label}</text>')
        return out

    def line(self, points, color, dashes=""):
        """Joins points given in the axes' units, in this order."""
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        places = [self.place(*point) for point in points]
        return f'<path class="join" stroke="{color}"{dash} d="M' + "L".join(f"{x} {y}" for x, y in places) + '"/>'

    def marks(self, points, part, color):
        return [mark(*self.place(*point), part, color) for point in points]


def mark(x, y, part, color):
    """Of a backbone alone (a disc), with L, with S, with both."""
    if part == "+L":
        return f'<path class="mark" fill="#ffffff" stroke="{color}" d="M{x} {y - 5:.1f}l5 9h-10z"/>'
    if part == "+S":
        return f'<path class="mark" fill="#ffffff" stroke="{color}" d="M{x} {y - 5:.1f}l5 5l-5 5l-5 -5z"/>'
    if part in ("+LS", "+L+S"):
        return f'<path class="mark" fill="#ffffff" stroke="{color}" d="M{x - 4.5:.1f} {y - 4.5:.1f}h9v9h-9z"/>'
    return f'<circle class="mark" cx="{x}" cy="{y}" r="4.5" fill="{color}" stroke="{color}"/>'


def swatch(x, y, color, label):
    return [f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{color}"/>',
            f'<text class="tick" x="{x + 18}" y="{y}">{label}</text>']


def write(path, maker, about, y_label, width, height, body, document="quality.md"):
    """The figure as a file. `about` is its text for those who do not see it, `y_label` stands above the panels; its numbers
    stand in a table of `document`."""
    name = path.rpartition("/")[2]
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
             '     font-family="Helvetica, Arial, sans-serif" role="img"',
             f'     aria-label="{about}">',
             f"  <!-- {name}: made by {maker}; the numbers are those of the table in {document}. -->",
             "  <style>",
             "    .title { font-size: 15px; fill: #1b2a41; text-anchor: middle }",
             "    .tick { font-size: 12px; fill: #5b6b82 }",
             "    .name { font-size: 11px; fill: #d1495b }",
             "    .grid { stroke: #e3e7ee; stroke-width: 1; fill: none }",
             "    .join { stroke-width: 1.5; fill: none; stroke-opacity: 0.55 }",
             "    .mark { stroke-width: 1.5 }",
             "  </style>",
             f'  <rect width="{width}" height="{height}" fill="#ffffff"/>',
             f'  <text class="tick" x="24" y="24">{y_label}</text>']
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines + ["  " + line for line in body] + ["</svg>"]) + "\n")
