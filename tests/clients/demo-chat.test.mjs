import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { launch } from './support/browser.mjs';
import { Demo, FLAGS, TRANSPORTS } from './support/demo.mjs';
import { Server } from './support/server.mjs';

describe('the chat', () => {
  let server, browser, demo, anna, ben;

  before(async () => {
    server = await Server.start([], FLAGS);
    browser = await launch();
    demo = new Demo(browser, server);
    [anna, ben] = [await demo.open('chat'), await demo.open('chat')];
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  const said = (page, text) => page.getByRole('log').getByText(text, { exact: true });

  async function say(page, text) {
    await page.getByRole('textbox', { name: 'Message', exact: true }).fill(text);
    await page.getByRole('button', { name: 'Send' }).click();
  }

  test('what one says, the other sees, as text', async () => {
    await say(anna, '<b>a star</b> & "more"');
    await said(ben, '<b>a star</b> & "more"').waitFor();
  });

  test('each sees who is there, also by a new name, and who has gone', async () => {
    const here = (page) => page.getByRole('region', { name: 'Who is here' });
    await anna.getByRole('textbox', { name: 'Your name' }).fill('Anna');
    await anna.keyboard.press('Enter');
    await here(ben).getByText('Anna', { exact: true }).waitFor();
    await here(anna).getByText('Anna (you)').waitFor();
    await anna.getByRole('link', { name: 'kitchen' }).click();
    await here(ben).getByText('Anna').waitFor({ state: 'detached' });
    await anna.getByRole('link', { name: 'lounge' }).click();
    await here(ben).getByText('Anna').waitFor();
  });

  test('a page that is loaded again shows what was said, and only of its room', async () => {
    await say(ben, 'isti mirant stella');
    await anna.reload();
    await said(anna, 'isti mirant stella').waitFor();
    await anna.getByRole('link', { name: 'garden' }).click();
    await demo.connected(anna);
    await say(anna, 'in the garden');
    await said(anna, 'in the garden').waitFor();
    assert.equal(await said(anna, 'isti mirant stella').count(), 0);
    await anna.getByRole('link', { name: 'lounge' }).click();
    await said(anna, 'isti mirant stella').waitFor();
    assert.equal(await said(anna, 'in the garden').count(), 0);
  });

  for (const name of TRANSPORTS) {
    test(`its session goes on by ${name}, both ways`, async () => {
      await demo.moveTo(anna, name);
      await say(ben, `to ${name}`);
      await said(anna, `to ${name}`).waitFor();
      await say(anna, `from ${name}`);
      await said(ben, `from ${name}`).waitFor();
      assert.equal(await said(anna, `to ${name}`).count(), 1);
      assert.equal(await demo.sessions(anna), 1);
    });
  }

  test('what is said while it moves arrives once, and in order', async () => {
    const lines = Array.from({ length: 12 }, (_, number) => `line ${number}`);
    const saying = (async () => {
      for (const line of lines) await say(ben, line);
    })();
    // It may be on its way still when it goes on.
    const menu = anna.getByRole('combobox', { name: 'Transport' });
    for (const name of TRANSPORTS) await menu.selectOption({ label: name });
    await saying;
    await demo.connected(anna, 'WebSocket');
    await said(anna, lines.at(-1)).waitFor();
    const texts = await anna.getByRole('log').locator('.text').allTextContents();
    assert.deepEqual(texts.filter((text) => text.startsWith('line ')), lines);
  });

  test('it goes on when the server was restarted', async () => {
    for (const page of [anna, ben]) await page.getByRole('button', { name: 'Clear' }).click();
    await server.restart();
    await Promise.all([anna, ben].map((page) => demo.sessions(page, 1)));
    await Promise.all([anna, ben].map((page) => demo.connected(page)));
    await say(ben, 'after the restart');
    await said(anna, 'after the restart').waitFor();
    // It is not kept any more.
    assert.equal(await said(anna, 'isti mirant stella').count(), 0);
  });
});

describe('without the official client', () => {
  test('a page says how it is installed', async () => {
    const server = await Server.start([], ['--demo', '--demo-client', '/nowhere/cometd.js']);
    const browser = await launch();
    try {
      const page = await browser.newPage();
      await page.goto(`${server.origin}/demo/chat`);
      await page.getByText('npm install cometd').waitFor();
    } finally {
      await browser.close();
      await server.stop();
    }
  });
});
