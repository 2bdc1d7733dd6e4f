"""Drives aiocometd, or aiocometd-ng, over stdin and stdout, as support/process.mjs says."""

import asyncio
import sys
from importlib import import_module

from process import operate, report

# The first argument names the client: aiocometd or aiocometd_ng, which have the same classes.
client = import_module(sys.argv[1])
Extension = import_module(f"{sys.argv[1]}.extensions").Extension


class Watcher(Extension):
    """Reports the end of a reconnection: a connect and all subscriptions answered anew.

    Reports refusals as well, and shows who the client is.
    """

    def __init__(self):
        self.channels = set()
        self.shown = None
        self.is_shown_in_all = False
        self._handshakes = 0
        self._missing = None

    async def outgoing(self, payload, headers):
        """Adds to messages what is to be shown."""
        for message in payload:
            is_handshake = message["channel"] == "/meta/handshake"
            if self.shown and (self.is_shown_in_all or is_handshake):
                message["ext"] = {"authentication": self.shown}

    async def incoming(self, payload, headers=None):
        """Looks at every reply."""
        for message in payload:
            if message.get("successful"):
                self._watch(message)
            elif "successful" in message:
                said = {part: message.get(part) for part in ("channel", "subscription", "error")}
                report("refusal", **said, reconnect=message.get("advice", {}).get("reconnect"))

    def _watch(self, reply):
        if reply["channel"] == "/meta/handshake":
            self._handshakes += 1
            if self._handshakes > 1:
                self._missing = {"/meta/connect", *self.channels}
        if self._missing is None:
            return
        self._missing.discard(reply.get("subscription", reply["channel"]))
        if not self._missing:
            self._missing = None
            report("reconnected")


class Calls(Extension):
    """Hands the answers of services, which aiocometd does not take for events, to those who called."""

    def __init__(self):
        self._next = None
        self._waiting = {}

    def answer_to_next(self):
        """Returns what will be the answer to what is published next."""
        self._next = asyncio.get_running_loop().create_future()
        return self._next

    async def outgoing(self, payload, headers):
        """Keeps the id of a call."""
        if self._next and payload[0]["channel"].startswith("/service/"):
            self._waiting[payload[0]["id"]] = self._next
            self._next = None

    async def incoming(self, payload, headers=None):
        """Looks for answers."""
        for message in payload:
            if message.get("id") in self._waiting and "data" in message:
                self._waiting.pop(message["id"]).set_result(message)


class Driver:
    """The operations of support/peer.mjs."""

    def __init__(self):
        self._client = None
        self._watcher = Watcher()
        self._calls = Calls()
        self._receiving = None

    async def connect(self, url, options):
        """Returns the transport in use."""
        types = [client.ConnectionType(name) for name in options["transports"]]
        # aiocometd-ng 0.5.6 bounds the time of a reconnection in a way that Python 3.10 and later
        # refuse. Zero is no bound.
        self._client = client.Client(
            url, types, extensions=[self._watcher, self._calls], connection_timeout=0
        )
        await self._client.open()
        self._receiving = asyncio.ensure_future(self._receive())
        return self._client.connection_type.value

    async def show(self, authentication, is_in_all=False):
        """Shows from now on who it is, in handshakes only or in all messages."""
        self._watcher.shown = authentication
        self._watcher.is_shown_in_all = is_in_all

    async def subscribe(self, channel):
        """Subscribes; the messages are reported."""
        await self._client.subscribe(channel)
        self._watcher.channels.add(channel)

    async def unsubscribe(self, channel):
        """Ends a subscription."""
        await self._client.unsubscribe(channel)
        self._watcher.channels.discard(channel)

    async def publish(self, channel, data):
        """Publishes and waits for the reply."""
        await self._client.publish(channel, data)

    async def remoteCall(self, target, content, _timeout):
        """Calls a service; how that ended."""
        answered = self._calls.answer_to_next()
        try:
            await self._client.publish(f"/service/{target}", content)
        except client.exceptions.ServerError:
            pass  # an answer that says so, and came before the reply
        answer = await answered
        return {name: answer[name] for name in ("successful", "data", "error") if name in answer}

    async def disconnect(self):
        """Ends the session."""
        self._receiving.cancel()
        await self._client.close()

    async def _receive(self):
        async for message in self._client:
            report("message", channel=message["channel"], data=message["data"])


operate(Driver)
