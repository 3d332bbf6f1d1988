"""What a page of bookinfo says, read back from its text: for the tour, the tests and scripts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from meltemi.samples.bookinfo import page
from meltemi.samples.bookinfo.reviews import UNAVAILABLE

_STARS = re.compile(r'class="stars" data-color="([^"]*)"')
_HOP = re.compile(r"<li><b>([^<]*)</b> <i>([^<]*)</i> <code>([^<]*)</code>")
_LOST = re.compile(r"<li><b>([^<]*)</b>.*?status (\d+)")


@dataclass(frozen=True, slots=True)
class Read:
    """A product page: stars' colour by review, (version, pod) by app that answered, status by service that was lost."""

    stars: tuple[str, ...]
    answered: dict[str, tuple[str, str]]
    lost: dict[str, int]
    details_lost: bool
    reviews_lost: bool
    ratings_lost: bool

    def version(self, app: str) -> str:
        """Give the version of an app that answered; "" where it did not."""
        return self.answered.get(app, ("", ""))[0]


def read(text: str) -> Read:
    """Read a product page."""
    hops = text.partition('id="served-by"')[2]
    return Read(
        stars=tuple(_STARS.findall(text)),
        answered={app: (version, pod) for app, version, pod in _HOP.findall(hops)},
        lost={app: int(status) for item in hops.split("</li>") for app, status in _LOST.findall(item)},
        details_lost=page.DETAILS_LOST in text,
        reviews_lost=page.REVIEWS_LOST in text,
        ratings_lost=UNAVAILABLE["error"] in text,
    )
