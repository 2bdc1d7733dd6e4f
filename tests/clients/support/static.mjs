import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname } from 'node:path';

const ROOT = new URL('../', import.meta.url);
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript' };

/** Where the files below `/static/` are; dojo and dojox must be neighbours. */
const FOLDERS = {
  pages: 'pages/',
  drivers: 'drivers/',
  cometd: 'node_modules/cometd-9/',
  'cometd-3': 'node_modules/cometd-3/',
  'cometd-7': 'node_modules/cometd-7/',
  'cometd-jquery': 'node_modules/cometd-jquery/',
  jquery: 'node_modules/jquery/dist/',
  faye: 'node_modules/faye-1.4/client/',
  'dojo-0.4': '.dojo-0.4/',
  'dojo-1.6/dojo': 'node_modules/dojo-1.6/',
  'dojo-1.6/dojox': 'node_modules/dojox-1.6/',
  'dojo-1.7/dojo': 'node_modules/dojo-1.7/',
  'dojo-1.7/dojox': 'node_modules/dojox-1.7/',
};

/** The response to a request for a page or one of the files it loads. */
export async function staticResponse(url) {
  const { pathname } = new URL(url, ROOT);
  for (const [prefix, folder] of Object.entries(FOLDERS)) {
    const start = `/static/${prefix}/`;
    if (!pathname.startsWith(start)) continue;
    const file = new URL(folder + pathname.slice(start.length), ROOT);
    const body = await readFile(file).catch(() => null);
    if (body === null) break;
    const type = TYPES[extname(pathname)] ?? 'application/octet-stream';
    return { status: 200, contentType: `${type}; charset=utf-8`, body };
  }
  return { status: 404, contentType: 'text/plain', body: `no ${pathname}` };
}

/** Serves the same files from an origin of their own; `close()` ends it. */
export async function serveStatic() {
  const server = createServer(async (request, response) => {
    const { status, contentType, body } = await staticResponse(request.url);
    response.writeHead(status, { 'Content-Type': contentType }).end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
