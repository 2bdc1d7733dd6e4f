const STREAMED = { renewing: 'streaming.lifetime=500ms' };
// Chromium may say that a request was aborted whose response, which is not to be stored, was read to
// its end as a stream.
const FETCHED = { ...STREAMED, watched: false };
/** The server's plug-ins for the CometD client, and what tests have to know of each. */
export const PLUGINS = [
  { transport: 'xhr-streaming', ...FETCHED },
  { transport: 'multipart', ...FETCHED },
  { transport: 'message-http', ...FETCHED },
  { transport: 'iframe', crosses: false, ...STREAMED },
  {
    transport: 'eventsource',
    // The stream is a request as well.
    watched: false,
    // What ends a connect, so that the next is sent.
    renewing: 'bayeux.timeout=500ms',
  },
];
