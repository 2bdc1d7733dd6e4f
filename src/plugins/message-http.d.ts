/**
 * Makes the CometD client's transport `message-http` of its one for long-polling:
 * `cometd.registerTransport('message-http', messageHttp(new LongPollingTransport()), 0)`.
 *
 * @param transport a new `LongPollingTransport`, which is changed
 * @returns the same transport
 */
export declare function messageHttp<T extends object>(transport: T): T;

/** The response to a connect that is of another status than 200. */
export declare class ResponseError extends Error {
  readonly status: number;
  constructor(status: number, reason: string);
}

/** Takes the JSON arrays out of HTTP/1.1 responses in a row, which may be cut anywhere. */
export declare class ResponseSplitter {
  /**
   * Takes the next bytes, and yields the array of each response that they make whole; throws a
   * `ResponseError` at a response that is another than 200, or than only interim, and a
   * `SyntaxError` if what follows is no response. What is yielded has to be taken to the end.
   */
  push(bytes: Uint8Array): Generator<unknown[], void, undefined>;
}
