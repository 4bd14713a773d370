"""GET /admin asks for the admin code, POST /admin {"code"} gives a session for it; says nothing of the site."""

from collections.abc import Sequence

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.binding.pending import Refused
from gateway.edge.admin import SESSION_S, Admin
from gateway.errors import CommandError
from gateway.web import render
from gateway.web.guard import COOKIE
from gateway.web.posted import BadRequest, read_object

BODY_LIMIT_BYTES = 1024
_STATUS = {"tries": 429}


def routes(admin: Admin) -> Sequence[BaseRoute]:
    """The routes; what they answer is {"error", "message"}, or nothing once the cookie is set."""
    environment = render.templates()
    one_at_a_time = CapacityLimiter(1)  # many who try share one core, and none of the threads that make pages

    async def page(request: Request) -> Response:
        return render.page(request, environment, "admin.html")

    async def sign_in(request: Request) -> Response:
        try:
            code = (await read_object(request, BODY_LIMIT_BYTES)).get("code")
            if not isinstance(code, str):
                raise BadRequest("code: wanted text")
            address = request.client.host if request.client else ""
            token = await to_thread.run_sync(admin.sign_in, code, address, limiter=one_at_a_time)
        except BadRequest as error:
            return JSONResponse({"error": "malformed", "message": str(error)}, 400)
        except Refused as error:
            return JSONResponse({"error": error.reason, "message": str(error)}, _STATUS.get(error.reason, 403))
        except CommandError as error:
            return JSONResponse({"error": "full", "message": str(error)}, 507)
        response = Response(status_code=204)
        is_tls = request.url.scheme == "https"
        response.set_cookie(COOKIE, token, max_age=SESSION_S, httponly=True, secure=is_tls, samesite="strict")
        return response

    return [Route("/admin", page), Route("/admin", sign_in, methods=["POST"])]
