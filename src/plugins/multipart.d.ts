/**
 * Makes the CometD client's transport `multipart` of its one for long-polling:
 * `cometd.registerTransport('multipart', multipart(new LongPollingTransport()), 0)`.
 *
 * @param transport a new `LongPollingTransport`, which is changed
 * @returns the same transport
 */
export declare function multipart<T extends object>(transport: T): T;

/** The boundary that a `Content-Type` names; null if it is of another type. */
export declare function boundaryOf(contentType: string): string | null;

/** Takes the JSON arrays out of a multipart text that grows and may be cut anywhere. */
export declare class PartSplitter {
  /** @param boundary as the `Content-Type` names it */
  constructor(boundary: string);
  /**
   * Takes the next piece of the text, and yields the array of each part that it makes whole; throws
   * a `SyntaxError` if a part is no JSON. What is yielded has to be taken to the end.
   */
  push(piece: string): Generator<unknown[], void, undefined>;
}
