"""The page /earnings/DEED/EPOCH: the same explanation as `tinyren earnings explain`; decides nothing, changes nothing.

An address that is not two numbers above 0 is 404, like a deed or epoch that is not there; the page says so.
"""

from collections.abc import Callable

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.commands.earnings import as_json
from gateway.earnings.earnings import OUTCOMES, RULE, Explanation
from gateway.errors import CommandError, Exit
from gateway.web import render

STATUS = {Exit.USAGE: 404, Exit.NOTHING_TO_DO: 404, Exit.TRUST: 409}
MAX_DIGITS = 9


def routes(explain: Callable[[int, int], Explanation]) -> list[Route]:
    """The route over a function of (deed, epoch) that raises CommandError."""
    templates = render.templates()

    async def page(request: Request) -> Response:
        try:
            deed, epoch = (_number(name, request.path_params[name]) for name in ("deed", "epoch"))
            told = as_json(await to_thread.run_sync(explain, deed, epoch))
        except CommandError as error:
            status = STATUS.get(error.code, 503)
            return render.page(request, templates, "earnings.html", status, error=str(error))
        return render.page(request, templates, "earnings.html", told=told, rule=RULE, outcomes=OUTCOMES)

    return [Route("/earnings/{deed}/{epoch}", page, methods=["GET"])]


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS and int(text) > 0):
        raise CommandError(f"{name}: got {text[:40]!r}, wanted a whole number above 0", Exit.USAGE)
    return int(text)
