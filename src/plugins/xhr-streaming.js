import { canStream, fetchConnect, holding, ofText } from './held-connect.js';
import { Splitter } from './splitter.js';

/**
 * Makes the CometD client's transport `xhr-streaming` of one for long-polling: connects have a
 * response of many JSON arrays, one after the other, and events are heard as each arrives.
 */
export function xhrStreaming(transport) {
  const { accept } = transport;
  transport.accept = function (...where) {
    return canStream() && accept.apply(this, where);
  };
  return holding(transport, (held) => fetchConnect(held, () => ofText(new Splitter())));
}
