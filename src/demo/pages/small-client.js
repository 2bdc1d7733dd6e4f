const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A small Bayeux 1.0 client that speaks long-polling: plain JavaScript, to read as an example. */
export class BayeuxClient {
  clientId = null; // the session, which the server names in its reply to the handshake
  state = ""; // connecting, connected, away (trying again) or stopped
  advice = { reconnect: "retry", interval: 0, timeout: 60000 };
  listeners = new Map(); // channel -> function of an event's data
  lastId = 0;

  constructor(url, onState) {
    this.url = url;
    this.onState = onState;
  }

  /** Names a channel to listen to; to be called before run(). */
  listen(channel, listener) {
    this.listeners.set(channel, listener);
  }

  /** Keeps a session until the server or disconnect() stops it: a handshake, then one connect after another. */
  async run() {
    let failures = 0;
    this.become("connecting");
    while (this.state !== "stopped") {
      try {
        const reply = await (this.clientId ? this.connect() : this.handshake());
        const { reconnect, interval } = this.advice;
        if (reconnect === "none" || interval < 0) this.become("stopped");
        if (!reply.successful) throw new Error(reply.error);
        if (reply.channel === "/meta/connect") failures = 0;
        await sleep(interval);
      } catch (error) {
        if (this.clientId && this.advice.reconnect === "handshake") {
          this.clientId = null; // The server is there, but no longer knows the session (402).
          failures = Math.min(failures, 1);
        }
        this.become("away");
        const backOff = Math.min(250 * 2 ** failures++, 5000) * (0.75 + Math.random() / 2);
        await sleep(Math.max(this.advice.interval, backOff));
      }
    }
  }

  /** Starts a session and subscribes it; a new session knows nothing of an earlier one's channels. */
  async handshake() {
    const reply = await this.send({ channel: "/meta/handshake", version: "1.0", supportedConnectionTypes: ["long-polling"] });
    if (!reply.successful) return reply;
    const { clientId } = reply;
    const subscribed = await this.send({ channel: "/meta/subscribe", clientId, subscription: [...this.listeners.keys()] });
    if (subscribed.successful) this.clientId = clientId;
    return subscribed;
  }

  /** Waits for events: the server holds the reply until there are some, or advice.timeout has passed. */
  async connect() {
    const message = { channel: "/meta/connect", clientId: this.clientId, connectionType: "long-polling" };
    if (this.state !== "connected") message.advice = { timeout: 0 }; // to be answered at once
    const reply = await this.send(message, this.advice.timeout + 10000);
    if (reply.successful) this.become("connected");
    return reply;
  }

  /** Publishes to a channel; fails unless the server says that it took the message. */
  async publish(channel, data) {
    const reply = await this.send({ channel, clientId: this.clientId, data });
    if (!reply.successful) throw new Error(reply.error);
  }

  /** Ends the session, even while the page goes away. */
  disconnect() {
    this.become("stopped");
    if (this.clientId) this.send({ channel: "/meta/disconnect", clientId: this.clientId }).catch(() => {});
  }

  /** Sends a message, hands out the events that come with the reply, and returns the reply. */
  async send(message, patience = 10000) {
    const id = String(++this.lastId);
    const response = await fetch(this.url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify([{ ...message, id }]),
      keepalive: message.channel === "/meta/disconnect",
      signal: AbortSignal.timeout(patience),
    });
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    let reply;
    for (const received of await response.json()) {
      // Events have data; replies have none, and repeat the request's id.
      if ("data" in received) this.listeners.get(received.channel)?.(received.data);
      else if (received.id === id) reply = received;
    }
    if (!reply) throw new Error("no reply");
    // New advice replaces all of the old.
    if (reply.advice) this.advice = { reconnect: "retry", interval: 0, timeout: 60000, ...reply.advice };
    return reply;
  }

  become(state) {
    if (this.state === state || this.state === "stopped") return;
    this.state = state;
    this.onState(state);
  }
}
