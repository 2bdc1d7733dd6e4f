/**
 * Makes the CometD client's transport `xhr-streaming` of its one for long-polling:
 * `cometd.registerTransport('xhr-streaming', xhrStreaming(new LongPollingTransport()), 0)`.
 *
 * @param transport a new `LongPollingTransport`, which is changed
 * @returns the same transport
 */
export declare function xhrStreaming<T extends object>(transport: T): T;
