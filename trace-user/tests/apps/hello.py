"""An ASGI application: a short answer to any request."""

BODY = b"hello\n"
HEADERS = [(b"content-length", str(len(BODY)).encode())]


async def app(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
