import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { launch } from './support/browser.mjs';
import { Server } from './support/server.mjs';

describe('the demonstration page', () => {
  let server, browser, page;

  before(async () => {
    server = await Server.start([], ['--demo']);
    browser = await launch();
    page = await browser.newPage();
    await page.goto(`${server.origin}/`);
    await bothConnected();
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  const bothConnected = () => page.getByText('connected', { exact: true }).nth(1).waitFor();
  const log = (name) => page.getByRole('log', { name: `What ${name} sees` });

  /** Types into one window, and waits until both show it. */
  async function say(name, text) {
    await page.getByRole('textbox', { name: `Message from ${name}` }).fill(text);
    await page.getByRole('button', { name: `Send as ${name}` }).click();
    for (const reader of ['Matilda', 'Odo']) await log(reader).getByText(text, { exact: true }).waitFor();
  }

  test('what one window says, both show, once', async () => {
    await say('Matilda', 'isti mirant stella');
    await say('Odo', '<b>a star</b> & "more"');
    assert.equal(await log('Odo').getByText('isti mirant stella').count(), 1);
  });

  test('a shell can join in', async () => {
    const send = async (message) => {
      const response = await fetch(server.url, { method: 'POST', body: JSON.stringify(message) });
      return (await response.json())[0];
    };
    const { clientId } = await send({ channel: '/meta/handshake', version: '1.0' });
    await send({ channel: '/chat/demo', clientId, data: { from: 'curl', text: 'hello from a shell' } });
    await log('Matilda').getByText('hello from a shell').waitFor();
  });

  test('both windows recover when the server was restarted', async () => {
    await server.restart();
    await bothConnected();
    await say('Odo', 'after the restart');
  });
});
