import { holding, isReply } from './held-connect.js';

/**
 * Makes the CometD client's transport `eventsource` of one for long-polling: events come by an
 * `EventSource` beside the connects, which are posted.
 *
 * The server answers such a connect at once, and advises to wait before the next. It is this
 * transport that waits, and not the client: while it has a connect, it hears at once when the stream
 * breaks or its session is gone.
 */
export function eventSource(transport) {
  const { abort, accept } = transport;
  const stream = new EventStream();

  transport.accept = function (...where) {
    return typeof EventSource === 'function' && accept.apply(this, where);
  };
  transport.abort = function () {
    stream.close();
    abort.call(this);
  };
  return holding(transport, (held, post) => {
    const xhr = post({
      onSuccess: (text) => stream.answer(held, text),
      onError: (reason, exception) => {
        held.status = xhr.status;
        held.fail(reason, exception);
      },
    });
    held.release = () => xhr.abort();
    stream.connect = held;
  });
}

/** The stream of a session, and the connect that waits meanwhile. */
class EventStream {
  /** The client's last connect. */
  connect = null;
  #source = null;
  #clientId = null;
  /** What the server advises to wait between two connects. */
  #interval = 30_000;
  /** Hands over the reply that waits, if one does. */
  #answerNow = () => {};

  close() {
    this.#source?.close();
    this.#source = null;
    this.#clientId = null;
  }

  /** Takes the server's answer to a connect, and hands it over when its time has come. */
  answer(held, text) {
    let messages;
    try {
      messages = JSON.parse(text);
    } catch (error) {
      held.fail(error.message, error);
      return;
    }
    const reply = messages.find(isReply);
    if (reply?.successful) {
      this.#open(held);
      this.#wait(held, messages, reply);
    } else {
      this.close();
      held.receive(messages);
      held.fail('the response is without a reply');
    }
  }

  /** Opens the stream of a connect's session, if it is not open. */
  #open({ client, message: { clientId }, deliver }) {
    if (this.#clientId === clientId && this.#source.readyState !== EventSource.CLOSED) return;
    this.close();
    this.#clientId = clientId;
    this.#source = new EventSource(below(client.getURL(), clientId), { withCredentials: true });
    this.#source.onmessage = ({ data }) => this.#hear(JSON.parse(data), deliver);
    this.#source.onerror = () => this.#lose(client);
  }

  /** Waits for the client as long as it was advised to. */
  #wait(held, messages, reply) {
    const { client, message } = held;
    this.#interval = reply.advice?.interval ?? this.#interval;
    reply.advice = { ...client.getAdvice(), ...reply.advice, interval: 0 };
    // So asks who is not connected yet.
    if (message.advice?.timeout === 0) {
      held.receive(messages);
      return;
    }
    held.receive(messages.filter((it) => it !== reply));
    // The client's patience is measured from when it asked.
    const wait = Math.min(this.#interval, client.getAdvice().timeout);
    const timer = client.setTimeout(() => held.receive([reply]), wait);
    held.release = () => client.clearTimeout(timer);
    this.#answerNow = () => {
      held.release();
      held.receive([reply]);
    };
  }

  #hear(messages, deliver) {
    const reply = messages.find(isReply);
    if (!reply) {
      deliver(messages);
      return;
    }
    // The session is gone. If no connect waits, the next will be told.
    this.close();
    const { connect } = this;
    connect.receive([{ ...reply, id: connect.message.id }]);
    connect.release();
  }

  #lose(client) {
    if (!client.isDisconnected()) {
      this.connect.fail('the event stream broke');
      return;
    }
    this.close();
    this.#answerNow();
  }
}

/** The URL of a session's stream. */
function below(url, clientId) {
  const [, path, query] = /^([^?#]*)(.*)$/.exec(url);
  return `${path.replace(/\/+$/, '')}/${clientId}${query}`;
}
