"""Checks that every request to the correction page's server must pass before it is answered.

The server is for one person's browser. It keeps out other programs of this machine, pages of other sites in the same
browser, and names that another site's owner points at this machine (DNS rebinding). `docs/correct.md` lists the
attacks, each with its test.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Any

MOST_BODY_BYTES = 2**20
MOST_WRONG_TOKENS = 20
ENTER_PATH = "/api/enter"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every answer."""

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Keys:
    """The token in the printed address, good for one entry, and the cookie that it is exchanged for."""

    def __init__(self, port: int):
        self.token: str | None = secrets.token_urlsafe(32)
        self.cookie_name = f"semsize-{port}"  # browsers keep the cookies of all ports of a host together
        self._secret = secrets.token_urlsafe(32)
        self._wrong = 0

    def enter(self, token: Any) -> str | None:
        """Use up the right token and return the header that sets the cookie; None for any other token."""
        if self.token is None or self._wrong >= MOST_WRONG_TOKENS or not isinstance(token, str):
            return None
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self.token.encode()):
            self._wrong += 1
            return None
        self.token = None
        return f"{self.cookie_name}={self._secret}; HttpOnly; SameSite=Strict; Path=/"

    def are_held(self, cookies: Iterable[str]) -> bool:
        """Whether the headers `Cookie` of a request hold the cookie."""
        for text in cookies:
            try:
                cookie = SimpleCookie(text).get(self.cookie_name)
            except CookieError:
                continue
            if cookie is not None and hmac.compare_digest(cookie.value.encode(), self._secret.encode()):
                return True
        return False


class Guard:
    """An ASGI application that passes on to another one only the requests of the correction page."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], hosts: Iterable[str], keys: Keys):
        """Put the guard before an application.

        Args:
            app: answers the requests that pass.
            hosts: allowed values of the header Host, `127.0.0.1:8642` for example.
            keys: of this start of the server.
        """
        self._app, self._hosts, self._keys = app, frozenset(hosts), keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        body = await _body(receive) if scope["method"] == "POST" else b""
        if body is None:
            await _answer(send, 413, f"a request has at most {MOST_BODY_BYTES} bytes; do less at a time")
            return
        await self._app(scope, _replay(body, receive), _with_headers(send))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and one-line reason for which a request is refused; None lets it pass."""
        values: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            values.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        host = values.get("host", [])
        if len(host) != 1 or host[0].lower() not in self._hosts:
            return 421, "this server has another address; open the one that it printed"
        method, path = scope["method"], scope["path"]
        if method not in ("GET", "HEAD", "POST"):
            return 405, "only GET and POST are allowed"
        if values.get("sec-fetch-site", ["none"])[0] not in ("same-origin", "none"):
            return 403, "requests from other sites are refused"
        if method == "POST":
            if values.get("origin") != [f"http://{host[0]}"]:
                return 403, "the request does not come from the correction page"
            if [value.split(";")[0].strip() for value in values.get("content-type", [])] != ["application/json"]:
                return 415, "a request must hold JSON"
            length = values.get("content-length", ["0"])[0]
            if not length.isdecimal() or int(length[:20]) > MOST_BODY_BYTES:
                return 413, f"a request has at most {MOST_BODY_BYTES} bytes; do less at a time"
        if path.startswith("/api/") and path != ENTER_PATH and not self._keys.are_held(values.get("cookie", [])):
            return 401, "open the address that the program printed, or start it again: an address is good for one entry"
        return None


async def _body(receive: Receive) -> bytes | None:
    """The body of a request; None where it is too long."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MOST_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return body


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that was read before, then what follows it."""
    given = False

    async def again() -> dict[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with_headers(send: Send) -> Send:
    async def guarded(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            ours = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
            names = {name for name, _ in ours}
            theirs = [pair for pair in message.get("headers", []) if pair[0].lower() not in names]
            message = {**message, "headers": [*theirs, *ours]}
        await send(message)

    return guarded


async def _answer(send: Send, status: int, error: str) -> None:
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    guarded = _with_headers(send)
    await guarded({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await guarded({"type": "http.response.body", "body": body})
