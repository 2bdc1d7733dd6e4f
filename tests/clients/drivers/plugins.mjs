import { cometdDriver } from './cometd.mjs';

/** The factory of each transport, as the module of its name exports it. */
const FACTORIES = {
  'xhr-streaming': 'xhrStreaming',
  multipart: 'multipart',
  'message-http': 'messageHttp',
  iframe: 'iframe',
  eventsource: 'eventSource',
};

/**
 * Drives a `CometD` object of any version that has the server's own transports before its others.
 * The page's query may name the server, if it has another origin, and the plug-ins' `silence`.
 */
export function pluggedDriver({ CometD, LongPollingTransport }, report, load) {
  const query = new URLSearchParams(location.search);
  const server = query.get('server') ?? '';
  const options = query.has('silence') ? { silence: Number(query.get('silence')) } : {};
  const cometd = new CometD();
  const driver = cometdDriver(cometd, report, load);
  const plug = async () => {
    for (const [index, [type, factory]] of Object.entries(FACTORIES).entries()) {
      const module = await import(`${server}/mirant/${type}.js`);
      const transport = module[factory](new LongPollingTransport(), options);
      cometd.registerTransport(type, transport, index);
    }
  };
  const plugged = plug();
  return {
    ...driver,
    async connect(...args) {
      await plugged;
      return driver.connect(...args);
    },
  };
}
