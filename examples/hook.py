#!/usr/bin/env python3
"""An application that Mirant calls, with nothing but the standard library.

    HOOK_SECRET=... python3 examples/hook.py 9000

In Mirant's configuration:

    [[hook]]
    url = "http://127.0.0.1:9000/"
    secrets = [{ env = "HOOK_SECRET" }]
    calls = ["/service/orders/**"]
    events = ["session_begun", "session_ended", "subscribed", "unsubscribed", "occupied", "vacated"]
    allow_private = true

It takes orders on /service/orders/new, tells all subscribers of /orders about them, and prints what happens.
"""
import base64, hashlib, hmac, itertools, json, os, sys, time
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Several secrets, parted by spaces, while one takes the place of another.
SECRETS = os.environ["HOOK_SECRET"].split()
NUMBERS = itertools.count(1)
KNOWN = OrderedDict()


def is_signed(secret, headers, body):
    """Tells whether Mirant sent this request, and just now."""
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    sent_at = headers.get("webhook-timestamp", "")
    if not sent_at.isdigit() or abs(time.time() - int(sent_at)) > 300:
        return False
    signed = f"{headers.get('webhook-id')}.{sent_at}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    signatures = headers.get("webhook-signature", "").split()
    return any([hmac.compare_digest(expected, signature) for signature in signatures])


def answer(call):
    """Answers a call, and may have messages published."""
    if call["channel"] != "/service/orders/new":
        return {"error": "there is no such call"}
    if not isinstance(call["data"], dict) or "item" not in call["data"]:
        return {"error": "which item?"}
    order = {"number": next(NUMBERS), "item": call["data"]["item"]}
    return {"reply": order, "publish": [{"channel": "/orders", "data": order}]}


def is_new(event):
    """Tells whether an event did not come before: what is not answered in time comes again."""
    if event["id"] in KNOWN:
        return False
    KNOWN[event["id"]] = True
    if len(KNOWN) > 10_000:
        KNOWN.popitem(last=False)
    return True


class Hook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if not any(is_signed(secret, self.headers, body) for secret in SECRETS):
            return self.respond(403)
        message = json.loads(body)
        if "call" in message:
            return self.respond(200, json.dumps(answer(message["call"])).encode())
        if message["dropped"]:
            print(f"{message['dropped']} events were lost", flush=True)
        for event in filter(is_new, message["events"]):
            print(event["at"], event["event"], event.get("user"), event.get("channel", ""), flush=True)
        self.respond(204)

    def respond(self, status, body=b""):
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Hook)
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()
