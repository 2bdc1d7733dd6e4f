// The operator's page in Chromium: each section with clients connected, some of them hostile.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';

import { launch } from './support/browser.mjs';
import { freePort } from './support/proxy.mjs';
import { post } from './support/requests.mjs';
import { Server } from './support/server.mjs';

const KEY = 'mirant_of_the_tests_of_the_page_1234567890abcd';
const READER = 'mirant_of_the_tests_of_the_page_only_reads_1';
/** The hash of the password `sesame`, which is quickly checked. */
const SESAME = '$argon2id$v=19$m=8,t=1,p=1$UbS7PAMBAAIao6QmrHD8Vw$SWJCFjh9rOxpwxu9GGmFB26W75rbOTNL4R29QvnU+Ik';
const hash = (key) => `sha256:${createHash('sha256').update(key).digest('hex')}`;
/** A user whose name is markup, as whoever shows another key is. */
const EVIL = '<img src=x onerror="document.title=1">';
const EVIL_CHANNEL = '/evil/$(alert)~!@x';
const EVIL_TEXT = '</script><script>document.title="owned"</script><img src=x onerror=alert(1)>\u202e';

/** Where pictures are put, if that is wanted. */
const PICTURES = process.env.PICTURES;

const keys = [
  `{name="operator", hash="${hash(KEY)}", allow=["admin"]}`,
  `{name="reader", hash="${hash(READER)}", allow=["read"]}`,
  `{name='${EVIL}', hash="${hash(`${KEY}evil`)}", allow=["publish", "read"]}`,
];
const rules = [
  '{deny=["publish"], channels=["/no/**"], who="anyone", reason="not there"}',
  '{allow=["handshake"], who="anyone"}',
  '{allow=["subscribe", "publish"], channels=["/**"], who="anyone"}',
];

let server, origin, browser, client;

/** Starts a server whose page is at a port that was free, unless somebody takes it first. */
async function start(more = [], tries = 5) {
  const port = await freePort();
  const settings = [
    `admin.listen=["127.0.0.1:${port}"]`,
    'log.level=error',
    'bayeux.max_interval=10m',
    'channel=[{pattern="/kept/**", history={messages=10}}]',
    `api.key=[${keys.join()}]`,
    `access=[${rules.join()}]`,
    ...more,
  ];
  try {
    return [await Server.start(settings), `http://127.0.0.1:${port}`];
  } catch (error) {
    if (tries === 0 || !error.message.includes('in use')) throw error;
    return start(more, tries - 1);
  }
}

before(async () => {
  [server, origin] = await start();
  client = await Client.open(['/chat/1', EVIL_CHANNEL]);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** A client that lives for minutes without a connect. */
class Client {
  #id;
  #cookie;

  static async open(subscription, ext) {
    const opened = new Client();
    const handshake = { channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'], ext };
    const { headers, text } = await post(server.url, [handshake]);
    const [reply] = JSON.parse(text);
    assert.equal(reply.successful, true, text);
    opened.#id = reply.clientId;
    opened.#cookie = headers['set-cookie'].map((it) => it.split(';')[0]).join('; ');
    await opened.ask('/meta/connect', { connectionType: 'long-polling', advice: { timeout: 0 } });
    if (subscription) await opened.ask('/meta/subscribe', { subscription });
    return opened;
  }

  /** The reply to a message. */
  async ask(channel, fields) {
    const { text } = await post(server.url, [{ channel, clientId: this.#id, ...fields }], { Cookie: this.#cookie });
    return JSON.parse(text).find((reply) => reply.channel === channel && 'successful' in reply);
  }
}

/** What the API answers. */
async function api(path) {
  const response = await fetch(`${origin}/api/v1${path}`, { headers: { Authorization: `Bearer ${KEY}` } });
  return response.json();
}

/** A page of its own, with whatever goes wrong in it. */
async function opened(options = {}, key = KEY, at = origin) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on('pageerror', (error) => wrong.push(error.stack));
  page.on('console', (message) => message.type() === 'error' && wrong.push(message.text()));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.origin !== at && url.protocol !== 'data:') wrong.push(`asked for ${request.url()}`);
  });
  page.on('dialog', (dialog) => wrong.push(`a dialog: ${dialog.message()}`));
  await page.goto(at);
  await page.locator('input:focus').waitFor();
  if (key) await unlock(page, key);
  return { page, wrong, close: () => context.close() };
}

async function unlock(page, key) {
  await page.getByLabel('Key of the HTTP API').fill(key);
  await page.getByRole('button', { name: 'Open' }).click();
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
}

const section = async (page, link, title = link) => {
  await page.getByRole('navigation').getByRole('link', { name: link, exact: true }).click();
  await page.getByRole('heading', { level: 1, name: title }).waitFor();
};

const titled = (page, name) => page.getByRole('img', { name: new RegExp(`^${name}:`) });

describe('the admin page', () => {
  test('shows nothing without a key, and says how to get one', async () => {
    const { page, close } = await opened({}, null);
    assert.equal(await page.getByRole('navigation').count(), 0);
    await page.getByText('Where do I get a key?').click();
    await page.getByText('mirant api-key', { exact: true }).waitFor();
    await page.getByLabel('Key of the HTTP API').fill('wrong');
    await page.getByRole('button', { name: 'Open' }).click();
    await page.getByRole('alert').getByText('no [[api.key]] entry has this key').waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    await close();
  });

  test('lets in who knows a password, until that one logs out', async () => {
    const users = `admin.user=[{name="ada", password_hash="${SESAME}", allow=["admin"]}]`;
    const [own, at] = await start([users]);
    try {
      const { page, wrong, close } = await opened({}, null, at);
      assert.equal(await page.getByLabel('Key of the HTTP API').isVisible(), false);
      await page.keyboard.type('ada');
      await page.keyboard.press('Tab');
      await page.keyboard.type('wrong');
      await page.keyboard.press('Enter');
      await page.getByRole('alert').getByText('no [[admin.user]] entry has this name and password').waitFor();
      // The refusal is what Chromium tells of on its console.
      assert.match(wrong.splice(0).join(), /^[^,]*401[^,]*$/);
      await page.getByLabel('Password').fill('sesame');
      await page.getByRole('button', { name: 'Log in' }).click();
      await page.getByText('● live').waitFor();
      assert.match(await page.locator('header').textContent(), /User ada/);
      assert.equal(await page.evaluate(() => document.cookie + sessionStorage.length + localStorage.length), '00');
      const [cookie] = await page.context().cookies();
      assert.deepEqual([cookie.name, cookie.httpOnly, cookie.sameSite], ['mirant_operator', true, 'Strict']);
      await page.reload();
      await section(page, 'Configuration');
      await page.getByText('admin.max_logins', { exact: true }).waitFor();
      await section(page, 'Publish');
      await page.getByLabel('Channel', { exact: true }).fill('/chat/1');
      await page.getByRole('button', { name: 'Send' }).click();
      await page.getByText('Sent to 0 sessions.').waitFor();
      await page.getByRole('button', { name: 'Log out' }).click();
      await page.getByLabel('Password').waitFor();
      await page.reload();
      await page.getByText('Use a key instead').click();
      assert.deepEqual(wrong, []);
      await page.getByLabel('Key of the HTTP API').fill(KEY);
      await page.getByRole('button', { name: 'Open' }).click();
      await page.getByText('● live').waitFor();
      assert.match(await page.locator('header').textContent(), /Key operator/);
      await close();
    } finally {
      await own.stop();
    }
  });

  test('shows figures as they change, and forgets the key', async () => {
    const { page, wrong, close } = await opened();
    await titled(page, 'Sessions').waitFor();
    await page.waitForFunction(() => [...document.querySelectorAll('[role=img]')].some((one) => /^Sessions: now 1;/.test(one.getAttribute('aria-label'))));
    for (let n = 0; n < 5; n += 1) await client.ask('/chat/1', { data: n });
    await page.waitForFunction(() => /\d/.test(document.querySelector('.totals dd')?.textContent) && document.querySelector('.totals dd').textContent !== '0');
    await page.getByText('● live').waitFor();
    await page.reload();
    await titled(page, 'Memory').waitFor();
    await page.getByRole('button', { name: 'Forget the key' }).click();
    await page.getByLabel('Key of the HTTP API').waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    assert.deepEqual(wrong, []);
    await close();
  });

  test('lists sessions, looks into one, and ends it', async () => {
    const evil = await Client.open('/chat/2', { authentication: { token: `${KEY}evil` } });
    const { page, wrong, close } = await opened();
    await section(page, 'Sessions');
    const row = page.getByRole('row').filter({ hasText: EVIL });
    await row.waitFor();
    assert.equal(await page.locator('img[src=x]').count(), 0);
    await page.getByLabel('User').fill('nobody');
    await page.getByRole('button', { name: 'Filter' }).click();
    await page.getByText('No session is like this.').waitFor();
    await page.getByLabel('User').fill(EVIL);
    await page.getByRole('button', { name: 'Filter' }).click();
    await row.getByRole('link').click();
    await page.getByRole('heading', { level: 1, name: 'Session' }).waitFor();
    await page.getByRole('link', { name: '/chat/2' }).waitFor();
    await page.getByText(EVIL).first().waitFor();
    await page.getByRole('button', { name: 'End session' }).click();
    const asked = page.getByRole('dialog', { name: 'End this session?' });
    await asked.getByRole('button', { name: 'Cancel' }).click();
    await asked.waitFor({ state: 'detached' });
    assert.equal((await evil.ask('/meta/subscribe', { subscription: '/chat/3' })).successful, true);
    await page.getByRole('button', { name: 'End session' }).click();
    await asked.getByRole('button', { name: 'End session' }).click();
    await page.getByRole('heading', { level: 1, name: 'Sessions' }).waitFor();
    assert.equal((await evil.ask('/meta/subscribe', { subscription: '/chat/3' })).successful, false);
    assert.deepEqual(wrong, []);
    await close();
  });

  test('watches a channel whose name and messages are hostile', async () => {
    const { page, wrong, close } = await opened();
    await section(page, 'Channels');
    await page.getByRole('link', { name: `Watch ${EVIL_CHANNEL}` }).click();
    await page.getByText('Nothing has come yet.').waitFor();
    await client.ask(EVIL_CHANNEL, { data: EVIL_TEXT });
    const list = page.getByRole('list', { name: 'Messages, the newest first' });
    await list.getByText('document.title=').waitFor();
    assert.match(await list.textContent(), /\\u202e/);
    assert.equal(await list.locator('img, script').count(), 0);
    assert.equal(await page.title(), 'Watch – Mirant');
    await page.getByRole('button', { name: 'Pause' }).click();
    await client.ask(EVIL_CHANNEL, { data: 'paused' });
    await page.getByRole('button', { name: 'Go on' }).click();
    await list.getByText('"paused"').waitFor();
    await page.getByRole('button', { name: 'Clear' }).click();
    assert.equal(await list.locator('li').count(), 0);
    assert.deepEqual(wrong, []);
    await close();
  });

  test('watches one session, and sends to exactly that', async () => {
    const other = await Client.open('/chat/9');
    const { page, wrong, close } = await opened();
    await section(page, 'Sessions');
    await page.getByRole('row').filter({ hasText: 'long-polling' }).first().waitFor();
    const { sessions } = await api('/sessions');
    const named = sessions.find(({ subscribed }) => subscribed === 1).session;
    await page.getByRole('link', { name: named }).click();
    await page.getByRole('link', { name: 'Watch' }).last().click();
    await page.getByText('Nothing has come yet.').waitFor();
    await fetch(`${origin}/api/v1/deliver`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${KEY}` },
      body: JSON.stringify({ session: named, channel: '/service/x', data: 'only you' }),
    });
    await page.getByText('← delivered').waitFor();
    await other.ask('/chat/9', { data: 'mine' });
    await page.getByText('→ sent').waitFor();
    await page.goto(`${origin}/#/publish/session/${named}`);
    await page.getByLabel('Channel', { exact: true }).fill('/service/y');
    await page.getByLabel('Data').fill('not JSON');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByText('The data is not JSON').waitFor();
    await page.getByLabel('Data').fill('{"n": 12345678901234567890}');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByText('Sent to 1 session.').waitFor();
    await page.getByLabel('All subscribers of a channel').check();
    await page.getByLabel('Channel', { exact: true }).fill('/no/body');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByText('Sent to 0 sessions.').waitFor();
    await other.ask('/meta/disconnect');
    assert.deepEqual(wrong, []);
    await close();
  });

  test('explains rules, and shows history, configuration and cluster', async () => {
    const { page, wrong, close } = await opened();
    await section(page, 'Access rules');
    await page.getByLabel('Action').selectOption('publish');
    await page.getByLabel('Channel').fill('/no/way');
    await page.getByRole('button', { name: 'Explain' }).click();
    await page.getByText('✗ Refused').waitFor();
    await page.getByText('refused by access[0] (not there)').waitFor();
    await page.getByLabel('Channel').fill('/chat/1');
    await page.getByRole('button', { name: 'Explain' }).click();
    await page.getByText('✓ Allowed').waitFor();
    await section(page, 'History');
    await client.ask('/kept/1', { data: 'kept for long' });
    await page.getByLabel('Channel or pattern').fill('/kept/**');
    await page.getByRole('button', { name: 'Show' }).click();
    await page.getByText('"kept for long"').waitFor();
    await section(page, 'Cluster');
    await page.getByText('no node of a cluster').waitFor();
    await section(page, 'Configuration');
    await page.getByLabel('Search').fill('max_queue');
    await page.getByText('bayeux.max_queue', { exact: true }).waitFor();
    assert.equal(await page.getByText('http.listen', { exact: true }).count(), 0);
    await page.getByLabel('Search').fill('api.key[0]');
    await page.getByText('"hash":"…"').waitFor();
    assert.deepEqual(wrong, []);
    await close();
  });

  test('says what a key is not for', async () => {
    const { page, close } = await opened({}, READER);
    await titled(page, 'Sessions').waitFor();
    for (const [link, word] of [['Sessions', '"sessions"'], ['Configuration', '"admin"'], ['Cluster', '"admin"']]) {
      await section(page, link);
      await page.getByRole('alert').getByText(word).waitFor();
    }
    await close();
  });

  test('can be used by keyboard alone', async () => {
    const { page, wrong, close } = await opened({}, null);
    const press = (key) => page.keyboard.press(key);
    const focused = () => page.evaluate(() => document.activeElement.textContent || document.activeElement.tagName);
    /** Presses Tab until this has the focus, and checks that it can be seen. */
    async function reach(text) {
      for (let presses = 0; presses < 60; presses += 1) {
        if ((await focused()) === text) {
          const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
          assert.notEqual(outline, 'none', `${text} does not show that it has the focus`);
          return;
        }
        await press('Tab');
      }
      assert.fail(`${text} cannot be reached`);
    }
    await page.keyboard.type(KEY);
    await press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
    await reach('Skip to the content');
    await reach('Publish');
    await press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Publish' }).waitFor();
    assert.equal(await focused(), 'Publish');
    await press('Tab');
    await press('Tab');
    await page.keyboard.type('/chat/1');
    await press('Enter');
    await page.getByText('Sent to 1 session.').waitFor();
    await reach('Forget the key');
    await reach('Sessions');
    await press('Enter');
    await page.getByRole('row').nth(1).waitFor();
    await reach('End');
    await press('Enter');
    await page.getByRole('dialog').waitFor();
    assert.equal(await focused(), 'Cancel');
    await press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    assert.deepEqual(wrong, []);
    await close();
  });

  test('says that the connection is lost, and goes on when it is back', async () => {
    const { page, close } = await opened();
    await page.getByText('● live').waitFor();
    await server.restart();
    await page.getByText('○ not connected').waitFor();
    await page.getByText('● live').waitFor();
    assert.equal(await page.getByText('trying again').isVisible(), false);
    client = await Client.open(['/chat/1', EVIL_CHANNEL]);
    await close();
  });

  test('pages through many sessions, and fits a phone', async () => {
    const more = [];
    for (let n = 0; n < 500; n += 50) {
      more.push(...(await Promise.all(Array.from({ length: 50 }, () => Client.open()))));
    }
    const { page, wrong, close } = await opened({ viewport: { width: 390, height: 844 } });
    await section(page, 'Sessions');
    await page.getByText('50 shown').waitFor();
    const first = await page.getByRole('row').nth(1).getByRole('link').textContent();
    for (let turn = 2; turn <= 4; turn += 1) {
      await page.getByRole('button', { name: 'Next' }).click();
      await page.getByText(`Page ${turn}`, { exact: true }).waitFor();
    }
    assert.notEqual(await page.getByRole('row').nth(1).getByRole('link').textContent(), first);
    for (let turn = 3; turn >= 1; turn -= 1) {
      await page.getByRole('button', { name: 'Previous' }).click();
      await page.getByText(`Page ${turn}`, { exact: true }).waitFor();
    }
    assert.equal(await page.getByRole('row').nth(1).getByRole('link').textContent(), first);
    for (const link of ['Overview', 'Sessions', 'Channels', 'Watch', 'Publish', 'Access rules', 'History', 'Cluster', 'Configuration']) {
      await section(page, link);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(over <= 0, `${link} is ${over} pixels too wide`);
    }
    assert.deepEqual(wrong, []);
    await close();
  });

  test('has pictures taken', { skip: !PICTURES && 'PICTURES names no folder' }, async () => {
    await mkdir(PICTURES, { recursive: true });
    const { sessions } = await api('/sessions');
    const pages = {
      overview: '#/overview', sessions: '#/sessions', session: `#/sessions/${sessions[0].session}`, channels: '#/channels',
      watch: '#/watch/channel/%2F**', publish: '#/publish', rules: '#/rules', history: '#/history/%2Fkept%2F**',
      cluster: '#/cluster', configuration: '#/configuration',
    };
    for (const colorScheme of ['light', 'dark']) {
      for (const width of [1280, 390]) {
        const { page, close } = await opened({ colorScheme, viewport: { width, height: width > 600 ? 900 : 844 } }, null);
        await page.screenshot({ path: `${PICTURES}/prompt-${width}-${colorScheme}.png` });
        await unlock(page, KEY);
        for (const [name, hash] of Object.entries(pages)) {
          await page.goto(`${origin}/${hash}`);
          if (name === 'watch') await page.getByText('Nothing has come yet.').waitFor();
          if (name === 'watch' || name === 'history') {
            for (let n = 0; n < 4; n += 1) await client.ask(n % 2 ? '/kept/1' : '/chat/1', { data: { text: 'Stella mirant', n, list: [1, 2, 3] } });
          }
          if (name === 'rules') {
            await page.getByLabel('Channel').fill('/no/way');
            await page.getByLabel('Action').selectOption('publish');
            await page.getByRole('button', { name: 'Explain' }).click();
          }
          await page.waitForTimeout(name === 'overview' ? 2500 : 700);
          await page.screenshot({ path: `${PICTURES}/${name}-${width}-${colorScheme}.png` });
        }
        await close();
      }
    }
  });
});
