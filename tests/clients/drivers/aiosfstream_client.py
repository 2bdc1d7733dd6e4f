"""Drives aiosfstream-ng over stdin and stdout, as support/process.mjs says."""

import asyncio

from aiosfstream_ng import Client, DefaultMappingStorage, ReplayMarker, ReplayOption
from aiosfstream_ng.auth import AuthenticatorBase

from process import operate, report


class Shown(AuthenticatorBase):
    """Knows its token and where the server is, instead of asking Salesforce for them."""

    def __init__(self, url):
        super().__init__()
        self._url = url

    async def _authenticate(self):
        return 200, {"token_type": "Bearer", "access_token": "token", "instance_url": self._url}


class Driver:
    """The operations of support/peer.mjs."""

    def __init__(self):
        self._client = None
        self._receiving = None
        self._markers = {}

    async def connect(self, url, options):
        """Begins a session; how far it was on channels says `since`."""
        for channel, position in options.get("since", {}).items():
            self._markers[channel] = ReplayMarker("", position)
        fallback = options.get("fallback")
        # The path is that of the server's endpoint, with a version below it. No bound for reconnections:
        # see aiocometd_client.py.
        self._client = Client(
            Shown(url.removesuffix("/cometd")),
            replay=DefaultMappingStorage(self._markers, ReplayOption.NEW_EVENTS),
            replay_fallback=fallback and ReplayOption[fallback],
            connection_timeout=0,
        )
        await self._client.open()
        self._receiving = asyncio.ensure_future(self._receive())
        return self._client.connection_type.value

    async def subscribe(self, channel):
        """Subscribes after what it has received."""
        await self._client.subscribe(channel)

    async def positions(self):
        """How far it is on each channel."""
        return {channel: marker.replay_id for channel, marker in self._markers.items()}

    async def goBack(self, channel, position):
        """Will ask for what came after this on a channel."""
        self._markers[channel] = ReplayMarker("", position)

    async def disconnect(self):
        """Ends the session."""
        self._receiving.cancel()
        await self._client.close()

    async def _receive(self):
        async for message in self._client:
            report("message", channel=message["channel"], data=message["data"])


operate(Driver)
