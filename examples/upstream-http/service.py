"""A service for weft.yaml: answers every reading with a bill. Its port is its argument."""
import http.server
import sys


class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        self.answer(b"well")

    def do_POST(self):
        reading = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(b"bill for " + reading)


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Service).serve_forever()
