/**
 * Makes the CometD client's transport `iframe` of its one for long-polling:
 * `cometd.registerTransport('iframe', iframe(new LongPollingTransport()), 0)`. It is used by pages of
 * the server's own origin only. A form has no headers, so `requestHeaders` are not sent with connects.
 *
 * @param transport a new `LongPollingTransport`, which is changed
 * @returns the same transport
 */
export declare function iframe<T extends object>(transport: T): T;
