"""The correction page's server: the files of the page, images and outlines by number, and changes by POST."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from semsize.correcting.doubts import DOUBTFUL
from semsize.correcting.guard import ENTER_PATH, Guard, Keys
from semsize.correcting.session import ReadOnlyError, Session
from semsize.correcting.shapes import CorrectionError
from semsize.measuring.overlays import STATE_COLOURS
from semsize.structures.states import STATES

MOST_CONNECTIONS = 64
NOT_PROTECTED = (
    "WARNING: --allow-remote: images, outlines and the address's token go over the network unencrypted; who reads them "
    "can take over the page. Use it in a network that you trust, or a tunnel (ssh -L) to 127.0.0.1 instead."
)

_PAGE = Path(__file__).parent / "page"
_SCRIPTS = ("page", "actions", "images", "outlines", "requests", "round", "tools", "view")
FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    **{f"/{name}.js": (f"{name}.js", "text/javascript") for name in _SCRIPTS},
}
"""Path → file and its media type; no other file of the package is served."""


class _Answers:
    """Answers the requests of the page: one function for each path."""

    def __init__(self, session: Session, keys: Keys):
        self.session, self.keys = session, keys
        self.changes = {
            "open": lambda number, content: session.open(number, content.get("page"), take=content.get("take") is True),
            "edit": lambda number, content: session.edit(number, content.get("page"), content),
            "undo": lambda number, content: session.undo(number, content.get("page")),
            "redo": lambda number, content: session.redo(number, content.get("page")),
            "scale": lambda number, content: session.keep_scale(number, content.get("page"), content),
        }

    async def file(self, request: Request) -> Response:
        name, kind = FILES[request.url.path]
        return Response((_PAGE / name).read_bytes(), media_type=kind)

    async def enter(self, request: Request) -> Response:
        cookie = self.keys.enter((await _content(request)).get("token"))
        if cookie is None:
            return JSONResponse({"error": "this address was used already, or is wrong; start the program again"}, 403)
        return JSONResponse({}, headers={"Set-Cookie": cookie})

    async def images(self, request: Request) -> Response:  # noqa: ARG002
        colours = {str(state): colour for state, colour in STATE_COLOURS.items()}
        settings = {"doubtful": DOUBTFUL, "states": STATES, "colours": colours}
        return await _answered(lambda: {"images": self.session.listing(), "settings": settings})

    async def picture(self, request: Request) -> Response:
        number = request.path_params["number"]
        return await _answered(lambda: Response(self.session.picture(number), media_type="image/png"))

    async def change(self, request: Request) -> Response:
        number, content = request.path_params["number"], await _content(request)
        method = self.changes[request.url.path.rpartition("/")[2]]
        return await _answered(lambda: method(number, content))

    async def leave(self, request: Request) -> Response:
        content = await _content(request)
        return await _answered(lambda: self.session.leave(content.get("page")) or {})


def application(session: Session, hosts: Sequence[str], keys: Keys) -> Guard:
    """The server as an ASGI application; `hosts` are the allowed values of the header Host."""
    answers, image = _Answers(session, keys), "/api/images/{number:int}"
    routes = [
        *(Route(path, answers.file) for path in FILES),
        Route(ENTER_PATH, answers.enter, methods=["POST"]),
        Route("/api/images", answers.images),
        Route("/api/leave", answers.leave, methods=["POST"]),
        Route(f"{image}/picture.png", answers.picture),
        *(Route(f"{image}/{name}", answers.change, methods=["POST"]) for name in answers.changes),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        with contextlib.suppress(CorrectionError):  # `serve` tries again and reports the error
            session.close()

    handlers = {CorrectionError: _refused, 404: _unknown, 405: _unknown}
    return Guard(Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan), hosts, keys)


async def _unknown(request: Request, error: Exception) -> Response:  # noqa: ARG001
    return JSONResponse({"error": "there is nothing here"}, getattr(error, "status_code", 404))


async def _refused(request: Request, error: Exception) -> Response:  # noqa: ARG001
    return JSONResponse({"error": str(error)}, 400)


async def _content(request: Request) -> Mapping[str, Any]:
    """The JSON object in a request; CorrectionError if there is none."""
    try:
        content = json.loads(await request.body())
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise CorrectionError("the request holds no JSON object; load the page anew")
    return content


async def _answered(ask: Callable[[], Any]) -> Response:
    """Ask the session in another thread, and make a response of what it returns or raises."""
    try:
        found = await run_in_threadpool(ask)
    except ReadOnlyError as cause:
        return JSONResponse({"error": str(cause), "read_only": True}, 409)
    except CorrectionError as cause:
        return JSONResponse({"error": str(cause)}, 400)
    return found if isinstance(found, Response) else JSONResponse(found)


def bound_socket(host: str, port: int, *, allow_remote: bool = False) -> socket.socket:
    """Return a socket bound to an address of this machine; port 0 takes any free port.

    Raises:
        CorrectionError: the port is taken, or the address is not a loopback one and `allow_remote` is False.
    """
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise CorrectionError(f"--host {host}: give an address of this machine, such as 127.0.0.1") from None
    if address.is_unspecified or (not address.is_loopback and not allow_remote):
        raise CorrectionError(
            f"--host {host}: other machines could reach it; take 127.0.0.1, or one address with --allow-remote"
        )
    if not 0 <= port <= 65535:
        raise CorrectionError(f"--port {port}: ports are 0 to 65535")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(address), port))
        listener.listen()
    except OSError as cause:
        listener.close()
        if cause.errno == errno.EADDRINUSE:
            raise CorrectionError(f"port {port} is taken; give another one with --port, or --port 0 for any") from None
        raise CorrectionError(f"--host {host} --port {port}: cannot be used ({cause.strerror})") from None
    return listener


def hosts_of(listener: socket.socket) -> list[str]:
    """Allowed values of the header Host; the first one is part of the printed address."""
    address, port = listener.getsockname()[:2]
    names = [f"[{address}]" if ":" in address else address]
    if ipaddress.ip_address(address).is_loopback:
        names.append("localhost")
    return [f"{name}:{port}" for name in names]


def serve(session: Session, listener: socket.socket, started: Callable[[str], None]) -> None:
    """Serve until Ctrl-C; `started` gets the address with its token once requests are answered.

    Logs are closed and `corrections.json` is written at the end.
    """
    hosts = hosts_of(listener)
    keys = Keys(listener.getsockname()[1])
    address = f"http://{hosts[0]}/#token={keys.token}"
    config = uvicorn.Config(
        application(session, hosts, keys),
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    try:
        started(address)
        server.run(sockets=[listener])
    finally:
        session.close()
