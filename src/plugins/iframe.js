import { holding } from './held-connect.js';

/**
 * Makes the CometD client's transport `iframe` of one for long-polling: connects are posted by a form
 * into a hidden frame, whose document grows by a script for every array of messages. Only for pages
 * of the server's own origin.
 */
export function iframe(transport) {
  const { accept } = transport;
  transport.accept = function (version, crossDomain, url) {
    const canFrame = typeof document === 'object' && typeof structuredClone === 'function';
    return canFrame && !crossDomain && accept.call(this, version, crossDomain, url);
  };
  // The next frame is opened before the last is taken away, lest the browser shows that it loads.
  let last = null;
  return holding(transport, (held) => {
    const frame = openFrame(held);
    last?.remove();
    last = frame;
  });
}

let frames = 0;

function openFrame(held) {
  frames += 1;
  const callback = `_mirant_frame_${frames}`;
  const frame = hidden('iframe', { name: `${callback}_target` });
  document.body.append(frame);
  const form = hidden('form', { method: 'POST', action: held.url, target: frame.name });
  form.acceptCharset = 'utf-8';
  form.append(
    hidden('input', { name: 'message', value: held.body }),
    hidden('input', { name: 'jsonp', value: callback }),
  );
  document.body.append(form);

  const close = () => {
    delete window[callback];
    frame.remove();
  };
  held.release = close;
  // The arrays are objects of the frame, of other classes than the page's.
  window[callback] = (messages) => held.receive(structuredClone(messages));
  frame.addEventListener('load', () => {
    if (isEmpty(frame)) return;
    delete window[callback];
    held.fail('the frame ended without a reply');
    // No other frame will come to replace it.
    if (held.client.isDisconnected()) close();
  });
  form.submit();
  form.remove();
  return frame;
}

function hidden(tag, properties) {
  return Object.assign(document.createElement(tag), { hidden: true }, properties);
}

/** Whether a frame shows the empty document that it begins with. */
function isEmpty(frame) {
  try {
    return frame.contentWindow.location.href === 'about:blank';
  } catch {
    // A page that the browser shows of an error.
    return false;
  }
}
