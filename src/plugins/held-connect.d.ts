/** A connect that waits for its reply. To the client it is the `XMLHttpRequest` that carries it. */
export declare class HeldConnect {
  readonly readyState: number;
  status: number;
  /** The CometD client. */
  readonly client: object;
  /** The connect itself. */
  readonly message: Record<string, unknown>;
  readonly url: string;
  readonly headers: Record<string, string> | undefined;
  /** The connect as JSON, in an array. */
  readonly body: string;
  /** Gives the request up; for who makes it to set. */
  release: () => void;
  /** Gives the client messages, whatever became of the connect. */
  deliver: (messages: object[]) => void;
  /** Gives the client messages; those with the connect's reply are its last. */
  receive(messages: object[]): void;
  /** Ends it without a reply; does nothing to a connect that is over. */
  fail(reason: string, exception?: unknown): void;
  /** For the client, which has given it up. */
  abort(): void;
}

/** Changes a transport for long-polling so that `open` makes the requests of its connects. */
export declare function holding<T extends object>(
  transport: T,
  open: (held: HeldConnect, post: (changes: object) => XMLHttpRequest) => void,
): T;

/** Whether a message is the reply to a connect. */
export declare function isReply(message: { channel?: string }): boolean;

/** Whether a browser shows the text of a response while it grows. */
export declare function canStream(): boolean;

/** Has a splitter of text take bytes. */
export declare function ofText(splitter: { push(piece: string): Iterable<unknown[]> }): {
  push(bytes: Uint8Array): Iterable<unknown[]>;
};

/** Makes a connect by `fetch`, with these headers besides the client's, and hands over what comes. */
export declare function fetchConnect(
  held: HeldConnect,
  splitterOf: (response: Response) => { push(bytes: Uint8Array): Iterable<unknown[]> },
  headers?: Record<string, string>,
): Promise<void>;
