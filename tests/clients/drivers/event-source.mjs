/**
 * Drives an `EventSource`. What it hears is reported as a message: on the channel of the event's
 * type, its data with the event's id.
 *
 * @param {(event: object) => void} report
 */
export function eventSourceDriver(report) {
  const hear = ({ type, data, lastEventId }) => {
    report({ type: 'message', channel: type, data: { id: lastEventId, ...JSON.parse(data) } });
  };

  return {
    /** Resolves when the stream is open; rejects if the browser gives up. */
    connect(url) {
      const stream = new EventSource(url, { withCredentials: true });
      for (const type of ['message', 'gap']) stream.addEventListener(type, hear);
      return new Promise((resolve, reject) => {
        stream.onopen = () => resolve('eventsource');
        stream.onerror = () => {
          if (stream.readyState === EventSource.CLOSED) reject(new Error('refused'));
        };
      });
    },
  };
}
