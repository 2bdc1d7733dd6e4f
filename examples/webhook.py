#!/usr/bin/env python3
"""A webhook for Mirant, with nothing but the standard library.

    WEBHOOK_SECRET=... python3 examples/webhook.py 9000

In Mirant's configuration: [webhook] with url = "http://127.0.0.1:9000/" and secret = { env = "WEBHOOK_SECRET" }.

It lets in who shows {"password": "sesame"} in the ext of the handshake, and lets everybody publish
anywhere but below /news.
"""
import base64, hashlib, hmac, json, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TEXT = os.environ["WEBHOOK_SECRET"]
# Behind whsec_ it is base64, as Standard Webhooks have it.
SECRET = base64.b64decode(TEXT[6:]) if TEXT.startswith("whsec_") else TEXT.encode()


def is_signed(headers, body):
    """Tells whether Mirant sent this request, and just now."""
    sent_at = headers.get("webhook-timestamp", "")
    if not sent_at.isdigit() or abs(time.time() - int(sent_at)) > 60:
        return False
    signed = f"{headers.get('webhook-id')}.{sent_at}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(SECRET, signed, hashlib.sha256)).decode()
    return hmac.compare_digest(expected, headers.get("webhook-signature", ""))


def decide(question):
    if question["action"] == "handshake":
        if (question["ext"] or {}).get("password") != "sesame":
            return {"allow": False, "reason": "who are you?"}
        return {"allow": True, "user": "u1", "roles": ["reader"], "expires": 3600}
    if question["action"] == "publish" and question["channels"][0].startswith("/news/"):
        return {"allow": False, "reason": "news come from the newsroom"}
    return {"allow": True}


class Webhook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        answer = json.dumps(decide(json.loads(body))).encode() if is_signed(self.headers, body) else b""
        self.send_response(200 if answer else 403)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Webhook)
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()
