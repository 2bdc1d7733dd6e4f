/**
 * Makes the CometD client's transport `iframe` of its one for long-polling:
 * `cometd.registerTransport('iframe', iframe(new LongPollingTransport()), 0)`. It is used by pages of
 * the server's own origin only. A form has no headers, so `requestHeaders` are not sent with connects.
 *
 * @param transport a new `LongPollingTransport`, which is changed
 * @param options.silence how many milliseconds nothing may come, not even a heartbeat, before a frame
 *   counts as broken: more than the server's `streaming.heartbeat_interval`; by default 15,000; with 0
 *   only the client's own timeout counts
 * @returns the same transport
 */
export declare function iframe<T extends object>(transport: T, options?: { silence?: number }): T;
