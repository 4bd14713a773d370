"""POST /backup/chain: the running gateway copies its embedded chain, which no other process can read, for a backup."""

from pathlib import Path

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.chain.chain import Chain, ChainError
from gateway.edge.backup import CHAIN_COPY


def routes(folder: Path, chain: Chain) -> list[BaseRoute]:
    """The route; the copy is SITE/CHAIN_COPY, whoever asks."""

    def copy() -> bool:
        (folder / CHAIN_COPY).unlink(missing_ok=True)
        return chain.copy(folder / CHAIN_COPY)

    async def answer(request: Request) -> Response:
        try:
            if await to_thread.run_sync(copy):
                return Response(status_code=204)
        except (ChainError, OSError) as error:
            return JSONResponse({"error": "full", "message": str(error)}, 507)
        return JSONResponse({"error": "elsewhere", "message": "the chain is not this gateway's"}, 404)

    return [Route("/backup/chain", answer, methods=["POST"])]
