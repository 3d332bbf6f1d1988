"""Bookinfo's pages as text: whole and self-contained, so that they look right behind any gateway's routes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from meltemi.samples.bookinfo.asking import Outcome

TITLE = "Simple Bookstore App"
DETAILS_LOST = "Sorry, product details are currently unavailable for this book."
REVIEWS_LOST = "Sorry, product reviews are currently unavailable for this book."
RATINGS_LOST = "Sorry, product ratings are currently unavailable for this book."
FACTS = (
    ("Type", "type"),
    ("Pages", "pages"),
    ("Publisher", "publisher"),
    ("Language", "language"),
    ("ISBN-10", "ISBN-10"),
    ("ISBN-13", "ISBN-13"),
)
MOST_STARS = 5
LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" role="img" aria-label="Bookinfo">'
    '<rect width="32" height="32" rx="8" fill="#0b6e86"/>'
    '<path d="M16 9c-3-2-6-2-9-1v15c3-1 6-1 9 1 3-2 6-2 9-1V8c-3-1-6-1-9 1z" fill="#fffdf9"/>'
    '<path d="M16 9v15" stroke="#0b6e86" stroke-width="1.5"/></svg>'
)
COVER = (
    '<svg class="cover" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 150 210" role="img" aria-label="Cover">'
    '<rect width="150" height="210" fill="#0d5b70"/><path d="M0 150c40-26 110 26 150 0v60H0z" fill="#0a4757"/>'
    '<g fill="none" stroke="#f2c14e" stroke-width="3" stroke-linecap="round">'
    '<circle cx="55" cy="92" r="27" fill="#f6e7c8"/><circle cx="95" cy="92" r="27" fill="#f0d9a8"/>'
    '<path d="M43 98q11 12 22 2M46 85h.5M62 85h.5M85 102q11-12 22-2M88 85h.5M104 85h.5" stroke="#0a4757"/></g>'
    '<g fill="#fdf6e3" font-family="Georgia,\'DejaVu Serif\',serif" text-anchor="middle">'
    '<text x="75" y="30" font-size="13">THE COMEDY</text><text x="75" y="47" font-size="13">OF ERRORS</text>'
    '<text x="75" y="188" font-size="9" letter-spacing="1">W. SHAKESPEARE</text></g></svg>'
)


@dataclass(frozen=True, slots=True)
class Product:
    """A book that is on offer."""

    id: int
    title: str
    description: str

    def document(self) -> dict[str, Any]:
        """Give it as the API tells it."""
        return {"id": self.id, "title": self.title, "descriptionHtml": self.description}


PRODUCTS = (
    Product(
        0,
        "The Comedy of Errors",
        "One of <b>Shakespeare&rsquo;s</b> earliest comedies and the shortest of all his plays: two pairs of twins, "
        "parted as children, come to the same town on the same day, and nobody is taken for who they are. "
        'Read more in <a href="https://en.wikipedia.org/wiki/The_Comedy_of_Errors">Wikipedia</a>.',
    ),
)


@dataclass(frozen=True, slots=True)
class Visit:
    """All that the product page shows."""

    product: Product
    user: str
    me: str
    details: Outcome
    reviews: Outcome


def style() -> str:
    """Read the style sheet."""
    return files("meltemi.samples.bookinfo").joinpath("style.css").read_text(encoding="utf-8")


def product_page(visit: Visit, css: str) -> str:
    """Write the product page."""
    author = visit.details.document.get("author") if _is_map(visit.details) else None
    year = visit.details.document.get("year") if _is_map(visit.details) else None
    by = ", ".join(escape(str(one)) for one in (author, year) if one)
    return _whole(
        css,
        _sign(visit.user),
        f'<main class="wide"><section class="hero">{COVER}<div><h1>{escape(visit.product.title)}</h1>'
        f'<p class="by">{by}</p><p>{visit.product.description}</p></div></section>'
        f'<div class="cards">{_details(visit.details)}{_reviews(visit.reviews)}</div></main>',
        _answered(visit),
    )


def index_page(user: str, css: str, services: dict[str, Any]) -> str:
    """Write the front page: the way to the product, and who asks whom."""
    return _whole(
        css,
        _sign(user),
        f'<main class="wide"><section class="hero">{COVER}<div><h1>Bookinfo</h1>'
        "<p>A bookshop of one book, made of four services. Sign in with any name: the mesh may treat "
        "<b>jason</b> in another way than everybody else.</p>"
        '<p class="go"><a class="button" href="productpage">To the book</a></p></div></section>'
        f'<section class="card"><h2>Who asks whom</h2><ul class="tree">{_tree(services)}</ul></section></main>',
        "",
    )


def _whole(css: str, sign: str, main: str, foot: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{TITLE}</title>\n"
        '<link rel="icon" href="static/bookinfo.svg" type="image/svg+xml">\n'
        f"<style>\n{css}</style>\n</head>\n<body>\n"
        f'<header class="top"><div class="wide"><a class="brand" href="productpage">{LOGO} Bookinfo</a>{sign}'
        f"</div></header>\n{main}\n{foot}\n</body>\n</html>\n"
    )


def _sign(user: str) -> str:
    if user:
        return (
            f'<div class="sign"><span class="avatar" aria-hidden="true">{escape(user[:1])}</span>'
            f'<span>{escape(user)}</span><a class="button quiet" href="logout">Sign out</a></div>'
        )
    return (
        '<form class="sign" method="post" action="login">'
        '<input name="username" aria-label="User name" placeholder="User name" autocomplete="username" '
        'maxlength="64" required>'
        '<button type="submit">Sign in</button></form>'
    )


def _is_map(outcome: Outcome) -> bool:
    return outcome.good and isinstance(outcome.document, dict)


def _lost(title: str, text: str) -> str:
    return f'<section class="card wrong"><h2>{title}</h2><p>{text}</p></section>'


def _details(outcome: Outcome) -> str:
    if not _is_map(outcome):
        return _lost("Error fetching product details!", DETAILS_LOST)
    rows = "".join(
        f"<dt>{label}</dt><dd>{escape(str(outcome.document.get(key, '—')))}</dd>" for label, key in FACTS
    )
    return f'<section class="card"><h2>Book Details</h2><dl>{rows}</dl></section>'


def _reviews(outcome: Outcome) -> str:
    if not _is_map(outcome):
        return _lost("Error fetching product reviews!", REVIEWS_LOST)
    reviews = outcome.document.get("reviews") or ()
    return f'<section class="card"><h2>Book Reviews</h2>{"".join(_review(one) for one in reviews)}</section>'


def _review(review: dict[str, Any]) -> str:
    rating = review.get("rating") or {}
    shown = ""
    if isinstance(rating.get("stars"), int):
        shown = _stars(rating["stars"], str(rating.get("color", "black")))
    elif rating.get("error"):
        shown = f'<span class="lost">{escape(str(rating["error"]))}</span>'
    return (
        f"<blockquote><p>{escape(str(review.get('text', '')))}</p>"
        f'<div class="from"><cite>{escape(str(review.get("reviewer", "")))}</cite>{shown}</div></blockquote>'
    )


def _stars(stars: int, colour: str) -> str:
    full = max(0, min(MOST_STARS, stars))
    colour = escape(colour, quote=True)
    return (
        f'<span class="stars" data-color="{colour}" style="color: {colour}" role="img" '
        f'aria-label="{full} of {MOST_STARS} stars">{"★" * full}{"☆" * (MOST_STARS - full)}</span>'
    )


def _answered(visit: Visit) -> str:
    hops = [_hop(visit.me, "")]
    for name, outcome in (("details", visit.details), ("reviews", visit.reviews)):
        took = f" {outcome.seconds * 1000:.0f} ms" + (", asked twice" if outcome.tries > 1 else "")
        if outcome.served_by:
            first, *rest = outcome.served_by
            lost = "" if outcome.good else f" status {outcome.status}"
            hops += [_hop(first, took, lost), *(_hop(one, "") for one in rest)]
        elif outcome.good:
            # Answered without saying by whom: another make of the service, or a rule that takes the header away.
            hops.append(f"<li><b>{name}</b>{took}</li>")
        else:
            hops.append(
                f'<li><b>{name}</b> <span class="lost">no answer, status {outcome.status}</span>{took}</li>'
            )
    return (
        '<footer class="foot"><div class="wide">Answered by'
        f'<ul class="hops" id="served-by">{"".join(hops)}</ul></div></footer>'
    )


def _hop(served_by: str, took: str, lost: str = "") -> str:
    app, version, pod = (*served_by.split(" ", 2), "", "")[:3]
    return (
        f"<li><b>{escape(app)}</b> <i>{escape(version)}</i> <code>{escape(pod)}</code>{took}"
        f"{f'<span class=lost>{lost}</span>' if lost else ''}</li>"
    )


def _tree(service: dict[str, Any]) -> str:
    children: Sequence[dict[str, Any]] = service["children"]
    below = f'<ul class="tree">{"".join(_tree(child) for child in children)}</ul>' if children else ""
    return f"<li><b>{escape(service['endpoint'])}</b> <code>{escape(service['name'])}</code>{below}</li>"
