import { fileURLToPath } from 'node:url';

/** What the menu of a demonstration has. */
export const TRANSPORTS = [
  'long-polling',
  'EventSource',
  'xhr-streaming',
  'multipart',
  'forever frame',
  'message/http',
  'callback-polling',
  'WebSocket',
];

/** The flags of a server that shows the demonstrations, with the client that is installed for the tests. */
export const FLAGS = [
  '--demo',
  '--demo-client',
  fileURLToPath(new URL('../node_modules/cometd/cometd.js', import.meta.url)),
];

/** The demonstrations of a server, in contexts of one browser. */
export class Demo {
  #browser;
  #server;

  constructor(browser, server) {
    this.#browser = browser;
    this.#server = server;
  }

  /** Opens one of them in a context of its own, and waits until it is connected. */
  async open(name, options = {}) {
    const context = await this.#browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    const page = await context.newPage();
    page.on('pageerror', (error) => console.error(`${name}: ${error.stack}`));
    await page.goto(`${this.#server.origin}/demo/${name}`);
    await this.connected(page);
    return page;
  }

  /** Waits until a page is connected, if need be by a transport of this name. */
  connected(page, transport = '') {
    return page.getByRole('status').getByText(`connected by ${transport}`).waitFor();
  }

  async moveTo(page, transport) {
    await page.getByRole('combobox', { name: 'Transport' }).selectOption({ label: transport });
    await this.connected(page, transport);
  }

  /** How many sessions a page has begun by its last lines of the wire; waits for so many if it is said. */
  async sessions(page, expected) {
    const begun = page.getByRole('complementary').getByText('has begun');
    if (expected) await begun.nth(expected - 1).waitFor();
    return begun.count();
  }
}
