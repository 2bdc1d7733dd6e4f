/** Takes JSON arrays out of a text that grows and may be cut anywhere. */
export declare class Splitter {
  /** Whether no array has begun that is not whole yet. */
  get isBetween(): boolean;
  /**
   * Takes the next piece of the text, and yields each array that it makes whole; throws a
   * `SyntaxError` if what follows is no array. What is yielded has to be taken to the end.
   */
  push(piece: string): Generator<unknown[], void, undefined>;
}
