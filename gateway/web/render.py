"""Makes every page's HTML from one layout; it escapes all that it prints and asks no other host for anything.

A page is a template that extends `layout`: base.html for a browser, part.html for HTMX, which wants main alone.
"""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from gateway.web import view

HERE = Path(__file__).parent
NAV = (
    ("/", "Overview"),
    ("/fleet", "Fleet"),
    ("/earnings", "Earnings"),
    ("/epochs", "Epochs"),
    ("/rollouts", "Rollouts"),
    ("/rounds", "EDIL"),
    ("/storage", "Storage"),
    ("/settings", "Settings"),
)
FILTERS = ("r1", "short", "text", "number", "size", "ago", "stamp", "duration")


def templates() -> Environment:
    """The environment of all templates, autoescape on."""
    made = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, trim_blocks=True)
    made.filters |= {name: getattr(view, name) for name in FILTERS}
    made.globals["nav"] = NAV
    return made


def page(request: Request, environment: Environment, name: str, status: int = 200, **context: Any) -> Response:
    """A template as the answer to a request: whole, or the main part where HTMX asks."""
    wants_part = request.headers.get("hx-request") == "true"
    is_part = wants_part and request.headers.get("hx-history-restore-request") != "true"
    layout = "part.html" if is_part else "base.html"
    html = environment.get_template(name).render(layout=layout, path=request.url.path, **context)
    return HTMLResponse(html, status, {"Vary": "HX-Request"})
