"""Has a driver of a client operated over stdin and stdout, as support/process.mjs says."""

import asyncio
import json
import sys


def write(line):
    """Writes one JSON text a line."""
    print(json.dumps(line), flush=True)


def report(kind, **details):
    """Reports an event to the test."""
    write({"report": {"type": kind, **details}})


def operate(driver_of):
    """Makes a driver, and performs its operations until the test ends."""
    # aiocometd takes the loop from get_event_loop, so it has to be this one.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(_operate(driver_of))


async def _operate(driver_of):
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    driver = driver_of()
    tasks = set()
    async for line in reader:
        task = asyncio.ensure_future(_perform(driver, json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def _perform(driver, request):
    """Does one call and writes its result."""
    call = request["call"]
    try:
        result = await getattr(driver, request["operation"])(*request["args"])
        write({"call": call, "result": result})
    except Exception as error:  # whatever went wrong is the test's to judge
        write({"call": call, "error": repr(error)})
