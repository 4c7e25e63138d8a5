"""The shop's web process on a port of its own, which it prints; ends when its input does."""

from __future__ import annotations

import sys
from threading import Thread
from wsgiref.simple_server import WSGIServer, make_server

from projects.example.wsgi import application


def main() -> None:
    with make_server("127.0.0.1", 0, application, server_class=WSGIServer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_port, flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
