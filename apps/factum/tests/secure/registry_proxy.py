"""A registry behind TLS and a password or a token, as a reverse proxy of a company puts it there.

    registry_proxy.py TARGET CERTIFICATE AUTHORITY|- AUTHORIZATION

TARGET is the address of a registry without TLS. CERTIFICATE is a PEM file with the proxy's key and certificate.
AUTHORITY is a PEM file with the authority that must have signed the client's certificate, or -. AUTHORIZATION is
the header that a request must have. The first line that it prints is its port; it ends with its standard input.
"""

import http.client
import http.server
import os
import ssl
import sys
import threading
import urllib.parse

TARGET, CERTIFICATE, AUTHORITY, AUTHORIZATION = sys.argv[1:]
SERVER = urllib.parse.urlsplit(TARGET)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def forward(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.headers.get("authorization") != AUTHORIZATION:
            self.reply(401, "text/html", b"<html>Who are you?</html>")
            return
        connection = http.client.HTTPConnection(SERVER.hostname, SERVER.port, timeout=60)
        kept = {name: self.headers[name] for name in ("accept", "content-type") if name in self.headers}
        connection.request(self.command, SERVER.path + self.path, body, kept)
        answer = connection.getresponse()
        self.reply(answer.status, answer.headers.get("content-type", ""), answer.read())
        connection.close()

    do_GET = do_POST = do_PUT = do_DELETE = forward

    def reply(self, status, kind, body):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE)
if AUTHORITY != "-":
    context.load_verify_locations(AUTHORITY)
    context.verify_mode = ssl.CERT_REQUIRED
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
# A client that does not trust the certificate is no news.
server.handle_error = lambda *_: None
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
os._exit(0)
