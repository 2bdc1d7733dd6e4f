#!/usr/bin/env python3
"""An application server that is connected to Mirant: it answers calls of clients, publishes, and hears of sessions.

    pip install aiocometd-ng
    MIRANT_URL=http://127.0.0.1:8080/cometd MIRANT_TOKEN=... python3 backend.py

The token is a key that allows "calls", or a JWT with the role that backends.role names. To hear of sessions,
set backends.events_channel = "/service/events" in Mirant's configuration.
"""
import asyncio, os, signal
from aiocometd_ng import Client, Extension


async def add(client, numbers, call):
    return sum(numbers)


async def whoami(client, data, call):
    return {"session": call["session"], "user": call["user"]}


async def sleep(client, ms, call):
    await asyncio.sleep(ms / 1000)  # other calls go on meanwhile
    return ms


async def announce(client, text, call):
    # Subscribers receive the name in ext.sender; no other client can claim one.
    await client.publish("/news", With({"sender": "backend"}, {"text": text, "user": call["user"]}))
    return "announced"


SERVICES = {f"/service/rpc/{service.__name__}": service for service in [add, whoami, sleep, announce]}


class With:
    """Data that is published with an ext, which aiocometd leaves to extensions."""

    def __init__(self, ext, data):
        self.ext, self.data = ext, data


class Ext(Extension):
    """Puts ext into what is sent: the token, and that of `With`."""

    async def outgoing(self, payload, headers):
        for message in payload:
            if message["channel"] == "/meta/handshake":
                message["ext"] = {"authentication": {"token": os.environ["MIRANT_TOKEN"]}}
            elif isinstance(message.get("data"), With):
                message["ext"], message["data"] = message["data"].ext, message["data"].data

    async def incoming(self, payload, headers=None):
        pass


async def answer(client, message):
    """Answers a call: publishes on its channel, with the call's id in ext."""
    call = message["ext"]["call"]
    told = {"id": call["id"]}
    try:
        result = await SERVICES[message["channel"]](client, message["data"], call)
    except Exception as error:
        result, told["successful"] = {"error": str(error)}, False
    await client.publish(message["channel"], With({"call": told}, result))


def hear(data):
    """Hears of sessions and channels."""
    if data.get("dropped"):
        print(data["dropped"], "events were dropped", flush=True)
    for event in data["events"]:
        who = event.get("user", event.get("session"))
        print(*filter(None, [event["event"], who, event.get("channel")]), flush=True)


async def main():
    # Without a connection_timeout it tries for ever to get back.
    url = os.environ.get("MIRANT_URL", "http://127.0.0.1:8080/cometd")
    tasks = set()
    async with Client(url, extensions=[Ext()], connection_timeout=0) as client:
        # What ends the task disconnects: calls without an answer go to another application server at once.
        for number in signal.SIGTERM, signal.SIGINT:
            asyncio.get_running_loop().add_signal_handler(number, asyncio.current_task().cancel)
        await client.subscribe("/service/events")
        await client.subscribe("/service/rpc/*")
        print("takes calls", flush=True)
        async for message in client:
            # What clients publish on /service/events are calls, as everywhere.
            if "call" not in message.get("ext", {}):
                hear(message["data"])
            else:
                task = asyncio.create_task(answer(client, message))
                tasks.add(task)  # asyncio does not keep tasks by itself
                task.add_done_callback(tasks.discard)


try:
    asyncio.run(main())
except asyncio.CancelledError:
    pass
