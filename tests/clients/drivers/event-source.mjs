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
      let opened = 0;
      return new Promise((resolve, reject) => {
        stream.onopen = () => {
          opened += 1;
          if (opened > 1) report({ type: 'reconnected' });
          else resolve('eventsource');
        };
        stream.onerror = () => {
          if (stream.readyState === EventSource.CLOSED) reject(new Error('refused'));
        };
      });
    },
  };
}
