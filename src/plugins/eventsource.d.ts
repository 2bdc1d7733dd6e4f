/**
 * Makes the CometD client's transport `eventsource` of its one for long-polling:
 * `cometd.registerTransport('eventsource', eventSource(new LongPollingTransport()), 0)`.
 *
 * @param transport a new `LongPollingTransport`, which is changed
 * @returns the same transport
 */
export declare function eventSource<T extends object>(transport: T): T;
