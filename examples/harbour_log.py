"""Make up a folder of texts: the log of a few harbours, a file a day, the same on every machine.

    python examples/harbour_log.py harbour

For docs/tutorial_own_text.md, where no text of one's own is at hand. What a line says depends on
lines before it: boats stay in when it blows hard, and whoever has the watch signs below.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

HARBOURS = ("Marrow Point", "Olden", "Saint Bride", "Low Ferry", "Kettle Bay", "Norrvik")
KEEPERS = ("Ada Venn", "Tom Harrow", "Ines Calder", "Piet Loman", "Ruth Askew", "Jon Maddern")
BOATS = ("Heron", "Little Anna", "Constance", "Grey Mare", "Two Brothers", "Kestrel", "Patience")
MONTHS = ("March", "April", "May", "June", "July", "August", "September", "October")
QUARTERS = ("north", "north-east", "east", "south-east", "south", "south-west", "west")
CATCHES = ("herring", "mackerel", "crab", "nothing to speak of", "cod and a few whiting")
SIGHTINGS = (
    "A seal slept on the slip until the noon bell.",
    "Smoke was seen far out, but no ship came of it.",
    "The lamp at the end of the mole was trimmed and burns well.",
    "Somebody has painted the old crane green.",
    "Geese went over all evening, too high to count.",
)


def page(draw: Random) -> str:
    """One day at one harbour."""
    keeper, force = draw.choice(KEEPERS), draw.randint(1, 9)
    first, second = draw.sample(BOATS, 2)
    lines = [
        f"Log of {draw.choice(HARBOURS)}, {draw.randint(1, 30)} {draw.choice(MONTHS)}.",
        f"{keeper} had the watch.",
        f"Wind from the {draw.choice(QUARTERS)}, force {force}, {weather(force)}.",
    ]
    if force >= 7:
        lines.append(f"All boats stayed in; the {first} lost a fender and the {second} a line.")
    else:
        back = draw.choice(("noon", "dusk", "the evening tide"))
        lines.append(f"The {first} and the {second} went out at dawn.")
        lines.append(f"The {first} came back at {back} with {draw.choice(CATCHES)}.")
        lines.append(f"The {second} came back later with {draw.choice(CATCHES)}.")
    lines += draw.sample(SIGHTINGS, draw.randint(0, 2))
    return "\n".join([*lines, f"Signed, {keeper}", ""])


def weather(force: int) -> str:
    """What a wind of this force looks like."""
    for least, seen in ((7, "and the sea breaks over the mole"), (4, "white horses outside")):
        if force >= least:
            return seen
    return "the water like glass"


def main(folder: Path, days: int = 3000) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    draw = Random(0)
    for day in range(days):
        (folder / f"{day:04}.txt").write_text(page(draw), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
