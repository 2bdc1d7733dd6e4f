// Every snippet of README.md and docs/ is run as it is printed, but for the name of the host.
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import * as backends from './support/backend-snippets.mjs';
import * as cometExample from './support/comet-example.mjs';
import * as protocol from './support/protocol-snippets.mjs';
import * as quickStart from './support/quick-start.mjs';
import { launch } from './support/browser.mjs';
import { guides, read, snippets } from './support/documents.mjs';
import { RawSession, post } from './support/requests.mjs';
import { onStage } from './support/stage.mjs';
import { withShell } from './support/shell.mjs';
import { staticResponse } from './support/static.mjs';
import { within } from './support/within.mjs';

const PUBLIC = 'https://comet.example.com';
const LOCAL = 'http://127.0.0.1:8080';
const ALL = await allSnippets();
const MODULES = fileURLToPath(new URL('node_modules/', import.meta.url));

/** What only this snippet, or others that are run alike, have in their text: how it is run. */
const RUNS = {
  'cargo run -- serve --demo': serves(/Open (http:\S+) in a browser/),
  'cargo run --release -- serve\n': serves(/listening on \S+\/cometd/),
  '// npm cometd, in a page': inPage({ cometd: '/static/cometd/cometd.js' }),
  '// npm cometd and cometd-nodejs-client': inNode('cometd', 'cometd-nodejs-client'),
  '<!-- npm cometd-jquery': inJqueryPage,
  '// npm faye': inNode('faye'),
  'curl -s $U -d \'{"channel":"/meta/subscribe","subscription":"/chat/**"': async (text, { shell }) => {
    const printed = await shell.run(text);
    assert.equal(printed.match(/"successful":true/g)?.length, 3, printed);
  },
  '"channel":"/chat/demo","data":"hello",': publishes('/chat/demo', 'hello'),
  'curl -s $U -d \'{"channel":"/a","data":"hi"': publishes('/a', 'hi'),
  "import { CometD, LongPollingTransport }": inPage({ cometd: '/static/cometd/cometd.js' }),
  'curl http://127.0.0.1:8080/cometd -d': async (text, { shell, url }) => {
    const subscriber = await RawSession.open(url);
    await subscriber.ask('/meta/subscribe', { subscription: '/chat/demo' });
    const printed = await shell.run(text);
    assert.equal(printed.match(/"successful":true/g)?.length, 2, printed);
    const events = (await subscriber.ask('/meta/connect')).slice(0, -1);
    assert.deepEqual(events.map(({ data }) => data), ['hi', 'hi']);
  },
  "curl -N 'http://127.0.0.1:8080/events": async (text, { shell, url }) => {
    const stream = shell.start(text);
    await stream.until(/retry|:/);
    await publish(url, '/stock/x/y', 1);
    await stream.until(/data: ?\{"channel":"\/stock\/x\/y","data":1\}/);
  },
  'const events = new EventSource': streamInPage,
  '// in a page\nconst stream': (text, scene) =>
    page(scene, `<script>${text}</script>`, { channel: '/chat/demo', data: 'hi' }, async (tab) => {
      await tab.waitForResponse((response) => response.url().includes('/events?'));
      await publish(scene.url, '/chat/demo', 'hi');
    }),
  '<!-- npm dojo and dojox 1.7': (text, scene) =>
    page(scene, text.replace('dojo/dojo.js', '/static/dojo-1.7/dojo/dojo.js'), { text: 'hello' }),
  'from aiocometd_ng import Client': async (text, { shell }) => {
    await writeFile(join(shell.folder, 'chat.py'), text);
    const python = fileURLToPath(new URL('.venv/bin/python', import.meta.url));
    await shell.start(`exec ${python} -u chat.py`).until(/^\{'text': 'hello'\}$/m);
  },
  'class Chat': async (text, { shell }) => {
    await writeFile(join(shell.folder, 'Chat.java'), text);
    const libraries = fileURLToPath(new URL('java/target/lib/*', import.meta.url));
    await shell.start(`exec java -cp '${libraries}' Chat.java`).until(/^\{text=hello\}$/m);
  },
  'pattern = "/chat/**"': isConfiguration,
  'R=http://127.0.0.1:8080/resources/chat/demo': async (text, { shell }) => {
    const printed = await shell.run(`${text}\nwait`);
    const statuses = printed.match(/HTTP\/1\.1 \d+/g).map((line) => Number(line.slice(9)));
    const expected = [404, 201, 200, 304, 412, 200, 200, 206, 204];
    assert.deepEqual(statuses.toSorted(), expected.toSorted(), printed);
    assert.match(printed, /Content-Range: bytes 4-6\/7\r\n/);
  },
  'sudo systemctl enable --now mirant': async (text, { shell }) => {
    await symlink(fileURLToPath(new URL('../../packaging', import.meta.url)), join(shell.folder, 'packaging'));
    const here = text.replaceAll(/ \/(etc|usr\/bin)\//g, ` ${shell.folder}/$1/`);
    await shell.run(`sudo() { case "$1" in useradd | systemctl) ;; *) "$@" ;; esac; }\n${here}`);
    const unit = await readFile(join(shell.folder, 'etc/systemd/system/mirant.service'), 'utf8');
    const [, before] = /^ExecStartPre=(.*)$/m.exec(unit);
    assert.match(await shell.run(before.replaceAll(/\/(etc|usr\/bin)\//g, `${shell.folder}/$1/`)), /mirant\.toml: ok/);
  },
  'mirant serve --listen tls:': async (text, { shell }) => {
    const certificate = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days 9";
    await shell.run(`${certificate} -keyout privkey.pem -out fullchain.pem 2> openssl.log`);
    const here = text.replaceAll('/etc/letsencrypt/live/comet.example.com', shell.folder).replace('0.0.0.0:8443', '127.0.0.1:0');
    await shell.start(here).until(/listening on https:\/\/127.0.0.1:\d+\/cometd/);
  },
  'mirant serve --set http.http2_prior_knowledge=true': async (text, { shell }) => {
    const [serve, ask] = text.trimEnd().split('\n');
    const server = shell.start(`${serve} --listen 127.0.0.1:0`);
    const [, port] = await server.until(/listening on http:\/\/127.0.0.1:(\d+)\/cometd/);
    const printed = await shell.run(`${ask.replace(/(127\.0\.0\.1):\d+/, `$1:${port}`)} -sw ' HTTP/%{http_version}'`);
    assert.match(printed, /"successful":true[^]* HTTP\/2$/);
  },
  'mirant doctor --config mirant.toml': async (text, { shell }) => {
    await writeFile(join(shell.folder, 'mirant.toml'), '');
    assert.match(await shell.run(text), /^ok +listen: 127\.0\.0\.1:0 \(http\.listen\) is free$/m);
  },
  'mirant doctor --url': async (text, { shell }) => {
    // A held connect would take half a minute.
    assert.match(await shell.run(`${text.trimEnd()} --quick`), /^ok +reach: [^]*^ok +streams: /m);
  },
  'mirant completions bash': async (text, { shell }) => {
    const completes = 'source ~/.local/share/bash-completion/completions/mirant; complete -p mirant';
    const printed = await shell.run(`HOME=$PWD; mkdir -p ~/.local/share/bash-completion/completions\n${text}\n${completes}`);
    assert.match(printed, /complete .*-F _mirant mirant/);
  },
  'mirant default-config > mirant.toml': serves(/mirant\.toml: ok[^]*listening on \S+\/cometd/),
  'pattern = "/prices/**"': isConfiguration,
  'mirant serve --set services.echo': serves(/listening on \S+\/cometd/),
  '"channel":"/service/echo"': async (text, { shell }) => {
    const printed = await shell.run(text);
    assert.match(printed, /"channel":"\/service\/echo"[^]*"data":"hello"|"data":"hello"[^]*"channel":"\/service\/echo"/);
  },
  '"connectionType":"xhr-streaming"': async (text, { shell, url }) => {
    const streams = shell.start(text);
    for (const [sign, data] of [[/"subscription"/, 1], [/mirant-part/, 2], [/<html>/, 3]]) {
      await streams.until(sign);
      await publish(url, '/chat/demo', data);
      await streams.until(new RegExp(`"data":${data}\\b`));
    }
    const [code] = await within('the streams to end', streams.exit);
    assert.equal(code, 0);
    assert.match(streams.text, /parent\.show\(/);
  },
  "-H 'Accept: message/http' -d": async (text, { shell, url }) => {
    const stream = shell.start(text);
    await stream.until(/"subscription"/);
    await publish(url, '/a', 'hi');
    await stream.until(/Content-Length: 30\r\n\r\n\[\{"channel":"\/a","data":"hi"\}\]/);
  },
  'curl -sN http://127.0.0.1:8080/resources/chat/demo': async (text, { shell, url }) => {
    const stream = shell.start(text);
    await publish(url, '/chat/demo', { n: 1 });
    await stream.until(/\{"n":1\}/);
    await publish(url, '/chat/demo', { n: 2 });
    await stream.until(/\{"n":2\}/);
  },
  'post() { printf': async (text, { shell }) => {
    const printed = await shell.run(text);
    for (const target of [1, 2, 3]) assert.match(printed, new RegExp(`Content-Location: /cometd/${target}`));
    assert.match(printed, /"data":"hi"/);
  },
  'proxy_http_version 1.1;': async (text, { shell }) => {
    const example = await readFile(new URL('../../examples/nginx.conf', import.meta.url), 'utf8');
    const site = example.replace('proxy_http_version 1.1;', text).replace('listen 80;', `listen unix:${shell.folder}/socket;`);
    assert.ok(site.includes('proxy_request_buffering off;'));
    await writeFile(join(shell.folder, 'site.conf'), site);
    const main = `pid ${shell.folder}/pid; events {} http { include ${shell.folder}/site.conf; }`;
    await writeFile(join(shell.folder, 'nginx.conf'), main);
    await shell.run(`/usr/sbin/nginx -t -c ${shell.folder}/nginx.conf -p ${shell.folder} -e stderr`);
  },
  'HTTP/1.1 200 OK\nContent-Location: /cometd': async (text, { shell, url, origin }) => {
    const { text: command } = ALL.find((snippet) => snippet.text.includes("-H 'Accept: message/http' -d"));
    const stream = shell.start(command.replaceAll(LOCAL, origin));
    await stream.until(/"subscription"/);
    await publish(url, '/a', 'hi');
    // The first event, up to where the next response begins.
    const printed = text.split('HTTP/1.1 200 OK\n…')[0].replaceAll('\n', '\r\n');
    const [before, after] = printed.split(/Last-Modified: .*\r\n/).map(escaped);
    await stream.until(new RegExp(`${before}Last-Modified: .* GMT\r\n${after}`));
  },
  'mirant.toml: unknown key': async (text, { shell }) => {
    const mistakes = ['timout = "30s"', 'timeout = "30"'];
    const lines = text.trimEnd().split('\n');
    assert.equal(lines.length, mistakes.length);
    for (const [at, line] of lines.entries()) {
      await writeFile(join(shell.folder, 'mirant.toml'), `[bayeux]\n${mistakes[at]}\n`);
      assert.equal(await shell.run('mirant serve --config mirant.toml 2>&1 || [ $? = 2 ]'), `${line}\n`);
    }
  },
  'INFO mirant::cli::serve: serving max_connections=': async (text, { shell }) => {
    // Both depend on the machine.
    const line = new RegExp(escaped(text.trimEnd()).replace(/=\d+ memory=.*$/, '=\\d+ memory=[\\d.]+ [GM]iB$'), 'm');
    await shell.start('mirant serve 2>&1').until(line);
  },
  "mirant serve --set 'admin.listen": async (text, { shell }) => {
    const printed = shell.start(text.replace(':9090', ':0'));
    const [, admin] = await printed.until(/admin on (http:\S+)\/metrics/);
    assert.equal((await fetch(`${admin}/healthz`)).status, 200);
  },
  '[[access]]                              # everybody': isConfiguration,
  'reason = "announcements come from the team"': isConfiguration,
  '[bayeux]\nmax_sessions_per_user': isConfiguration,
  '\nforwarded_header = ': isConfiguration,
  '\nproxy_protocol = true': isConfiguration,
  'mirant explain --config mirant.toml --anonymous': async (text, { shell }) => {
    await writeFile(join(shell.folder, 'mirant.toml'), snippetWith('come from the team"'));
    assert.equal(await shell.run(`${text.trimEnd()} || [ $? = 1 ]`), snippetWith('refused by access[1]'));
  },
  'refused by access[1]': async (text, { shell }) => RUNS['mirant explain --config mirant.toml --anonymous'](snippetWith('mirant explain'), { shell }),
  'secret = { env = "TOKEN_SECRET" }': async (text, { shell }) => {
    await writeFile(join(shell.folder, 'snippet.toml'), text);
    const command = 'TOKEN_SECRET=$(openssl rand -hex 32) mirant check-config snippet.toml';
    assert.equal(await shell.run(command), 'snippet.toml: ok\n');
  },
  'mirant token create --config': async (text, { shell }) => {
    await writeFile(join(shell.folder, 'mirant.toml'), snippetWith('secret = { env = "TOKEN_SECRET" }'));
    const printed = await shell.run(text);
    assert.match(printed, /^user: u1\nroles: editor\n[^]*^accepted\n[^]*^allowed by access\[1\]$/m);
  },
  'jwks = { url': isConfiguration,
  "cometd.registerExtension('authentication'": withToken(inPage({ cometd: '/static/cometd/cometd.js' })),
  '$.cometd.handshake({ ext': withToken(inJqueryScript),
  'client.addExtension': withToken(inNode('faye')),
  'H="Authorization: Bearer $(cat': withToken(async (text, { shell, url }) => {
    const run = shell.start(text);
    await run.until(/"successful":true[^]*\](retry)?:/);
    const token = await readFile(join(shell.folder, 'token.txt'), 'utf8');
    await post(url, [{ channel: '/news/today', data: 'hi' }], { Authorization: `Bearer ${token.trim()}` });
    await run.until(/data: ?\{"channel":"\/news\/today","data":"hi"\}/);
  }),
  'name = "shop"\nhash = "sha256:a85f': isConfiguration,
  'curl -s -c cookies': async (text, { shell }) => {
    await writeFile(join(shell.folder, 'mirant.toml'), snippetWith('[[admin.user]]'));
    const printed = shell.start("mirant serve --config mirant.toml --set 'admin.listen=[\"127.0.0.1:0\"]'");
    const [, admin] = await printed.until(/admin on (http:\S+)\/metrics/);
    const answers = await shell.run(text.replaceAll('http://127.0.0.1:9090', admin));
    assert.match(answers, /"name":"ada".*"sessions":\[\]/);
  },
  'mirant api-key\n': async (text, { shell }) => {
    const printed = await shell.run(text);
    const [, key, hash] = printed.match(/^key:  (mirant_\S{43})\nhash: sha256:([0-9a-f]{64})\n$/);
    assert.equal(await shell.run(`printf %s ${key} | mirant api-key --hash`), `sha256:${hash}\n`);
  },
  'curl -s -H "$H" $API/publish': withApi(async (text, { shell, url }) => {
    const subscriber = await RawSession.open(url);
    await subscriber.ask('/meta/subscribe', { subscription: '/shop/*' });
    const printed = await shell.run(text);
    assert.equal(printed.match(/"accepted":true/g)?.length, 4, printed);
    assert.match(printed, /\{"sessions":0,"dropped":0\}$/);
    const events = (await subscriber.ask('/meta/connect')).slice(0, -1);
    assert.deepEqual(events.map(({ data }) => data), [{ price: 5 }, { price: 6 }, 7, 8]);
  }),
  '"persisted":false': (text) => JSON.parse(text),
  '"type":"urn:mirant:key_unknown"': (text) => JSON.parse(text),
  '"channel":"/stock/**","epoch"': (text) => JSON.parse(text),
  'mirant hash-password': async (text, { shell }) => {
    const printed = await shell.run(`printf sesame | ${text}`);
    assert.match(printed, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$\S+\$\S+\n$/);
  },
  'password_hash = "$argon2id$': isConfiguration,
  '[webhook]\nurl = ': async (text, { shell }) => {
    await writeFile(join(shell.folder, 'snippet.toml'), text);
    const command = 'WEBHOOK_SECRET=$(openssl rand -hex 32) mirant check-config snippet.toml';
    assert.equal(await shell.run(command), 'snippet.toml: ok\n');
  },
  '[[hook]]\nurl = ': async (text, { shell }) => {
    await writeFile(join(shell.folder, 'snippet.toml'), text);
    const command = 'HOOK_SECRET=$(openssl rand -hex 32) mirant check-config snippet.toml';
    assert.equal(await shell.run(command), 'snippet.toml: ok\n');
  },
  '{"call": {"id": "msg_': isJson,
  '{"reply": {"number": 7}': isJson,
  '{"events": [{"id"': isJson,
  'def is_from_mirant': async (text, { shell }) => {
    const call = (secret) => `print(is_from_mirant(b"secret", ${signedBy('old', secret)}, b'{}'))`;
    await writeFile(join(shell.folder, 'signed.py'), `${text}\n${call('secret')}\n${call('other')}\n`);
    assert.equal(await shell.run(`python3 ${shell.folder}/signed.py`), 'True\nFalse\n');
  },
  'function isFromMirant': async (text, { shell }) => {
    const call = (secret) => `console.log(isFromMirant('secret', ${signedBy('old', secret)}, '{}'));`;
    await writeFile(join(shell.folder, 'signed.mjs'), `${text}\n${call('secret')}\n${call('other')}\n`);
    assert.equal(await shell.run(`${process.execPath} ${shell.folder}/signed.mjs`), 'true\nfalse\n');
  },
  '{"allow": true, "user": "u1"': async (text) => {
    const [allowed, denied] = text.trimEnd().split(/\n(?=\{)/).map((answer) => JSON.parse(answer));
    assert.deepEqual([allowed.allow, denied.allow], [true, false]);
  },
  'def is_signed(secret, headers, body)': async (text, { shell }) => {
    const id = 'msg_1';
    const time = Math.floor(Date.now() / 1000);
    const body = '{"action":"handshake"}';
    const signature = (secret) => createHmac('sha256', secret).update(`${id}.${time}.${body}`).digest('base64');
    const call = (secret) => {
      const headers = { 'webhook-id': id, 'webhook-timestamp': `${time}`, 'webhook-signature': `v1,${signature(secret)}` };
      return `print(is_signed(b"secret", ${JSON.stringify(headers)}, b'${body}'))`;
    };
    await writeFile(join(shell.folder, 'signed.py'), `${text}\n${call('secret')}\n${call('other')}\n`);
    assert.equal(await shell.run(`python3 ${shell.folder}/signed.py`), 'True\nFalse\n');
  },
  ...backends.RUNS,
  ...cometExample.RUNS,
  ...protocol.RUNS,
  ...quickStart.RUNS,
  '[backends]\nrole = ': isConfiguration,
  'name = "website"': isConfiguration,
  'mirant publish http://127.0.0.1:8080 /chat/demo \'"hello"\'': publishes('/chat/demo', 'hello'),
  "mirant subscribe http://127.0.0.1:8080 '/chat/**'": async (text, { shell, url }) => {
    const run = shell.start(`${text.trimEnd()} 2>&1`);
    await run.until(/subscribed to \/chat\/\*\*/);
    await publish(url, '/chat/demo', { text: 'hi' });
    await run.until(/^\{"channel":"\/chat\/demo","data":\{"text":"hi"\}\}$/m);
  },
  'seq 3 | mirant publish': async (text, { shell, url }) => {
    const subscriber = await RawSession.open(url);
    await subscriber.ask('/meta/subscribe', { subscription: '/chat/demo' });
    await shell.run(text);
    const events = (await subscriber.ask('/meta/connect')).slice(0, -1);
    assert.deepEqual(events.map(({ data }) => data), [{ text: 'hi' }, 'a string', 1, 2, 3]);
  },
  'mirant publish --key @key.txt': async (text, { shell }) => {
    await writeFile(join(shell.folder, 'key.txt'), 'mirant_key\n');
    const asked = [];
    const api = createServer(async (request, response) => {
      const body = JSON.parse(Buffer.concat(await request.toArray()));
      asked.push([request.url, request.headers.authorization, body]);
      response.end(JSON.stringify({ receipts: body.map(() => ({ accepted: true })) }));
    }).listen(0, '127.0.0.1');
    try {
      await once(api, 'listening');
      await shell.run(text.replace(':8081', `:${api.address().port}`));
    } finally {
      api.close();
    }
    const messages = [{ channel: '/chat/demo', data: { text: 'hi' } }];
    assert.deepEqual(asked, [['/api/v1/publish', 'Bearer mirant_key', messages]]);
  },
  'mirant call http://127.0.0.1:8080 /service/echo': async (text, { shell }) => {
    assert.equal(await shell.run(text), '{"text":"hi"}\n');
  },
  'A=http://127.0.0.1:8081/api/v1': withApi(async (text, { shell, url }) => {
    const session = await RawSession.open(url);
    await session.ask('/meta/subscribe', { subscription: '/chat/1' });
    const printed = await shell.run(text);
    assert.match(printed, /"channel":"\/chat\/1","subscribers":1[^]*"presence":null[^]*"sessions":\[\][^]*"refused":"10m"/);
  }),
  'http://127.0.0.1:8081/api/v1/watch/chat/**': withApi(async (text, { shell, url }) => {
    const stream = shell.start(text);
    await stream.until(/^retry: 2000$/m);
    await post(url, [{ channel: '/chat/demo', data: 'hi' }]);
    await stream.until(/^event: published\ndata: \{"channel":"\/chat\/demo","data":"hi"\}$/m);
  }),
  'mirant reload http://127.0.0.1:9090': withApi(async (text, { shell, origin }) => {
    assert.equal(await shell.run(text.replace('http://127.0.0.1:9090', origin)), 'nothing has changed\n');
  }),
  'http://127.0.0.1:8081/api/v1/explain': withApi(async (text, { shell }) => {
    assert.equal(typeof JSON.parse(await shell.run(text)).allowed, 'boolean');
  }),
  'directory = "/var/lib/mirant"': isConfiguration,
  'mirant publish http://127.0.0.1:8080 /stock/acme': withHistory(async (text, { shell }) => {
    const printed = JSON.parse(snippetWith('"after":1893456000000000,"next"'));
    const read = JSON.parse(await shell.run(text));
    assert.deepEqual(fieldsOf(read), fieldsOf(printed));
    assert.deepEqual(read.messages.map(({ data }) => data), [{ price: 4 }, { price: 5 }]);
  }),
  '"after":1893456000000000,"next"': (text) => JSON.parse(text),
  'mirant subscribe --since all': withHistory(async (text, { shell }) => {
    await shell.start(text).until(/^\{"channel":"\/stock\/acme","data":\{"price":4\},"ext":\{"replay":\d+\}\}$/m);
  }),
  "curl -sN 'http://127.0.0.1:8080/events?channel=/stock/**&since=all'": withHistory(async (text, { shell }) => {
    await shell.start(text).until(/^data: \{"channel":"\/stock\/acme","data":\{"price":4\},"ext":\{"replay":\d+\}\}$/m);
  }),
  "curl -sN 'http://127.0.0.1:8080/events?channel=/chat/demo&since=all'": withHistory(async (text, { shell }) => {
    await shell.start(text).until(/^data: \{"channel":"\/chat\/demo","data":"hi","ext":\{"replay":\d+\}\}$/m);
  }),
  'event: gap': (text) => JSON.parse(/^data: (.*)$/m.exec(text)[1]),
  '"channel":"/stock/acme","data":{"price":5},"ext"': (text) => JSON.parse(text),
  '"subscription":"/stock/acme","ext":{"replay":-2}': withHistory(async (text, { shell }) => {
    const [reply] = JSON.parse(`[${snippetWith('"subscription":"/stock/acme","ext":{"replay":{')}]`);
    const [, subscribed, events] = /^(\[.*?\])(\[.*\])$/.exec(await shell.run(text));
    const [told] = JSON.parse(subscribed);
    assert.deepEqual(fieldsOf(told), fieldsOf(reply));
    const place = (message) => message.ext.replay['/stock/acme'];
    assert.deepEqual(fieldsOf(place(told)), fieldsOf(place(reply)));
    assert.deepEqual(JSON.parse(events).slice(0, -1).map(({ data }) => data), [{ price: 4 }]);
  }),
  '"subscription":"/stock/acme","ext":{"replay":{': (text) => JSON.parse(text),
  'a page that goes on where it was': withHistory((text, scene) => {
    const map = '<script type="importmap">{"imports":{"cometd":"/static/cometd/cometd.js"}}</script>';
    return page(scene, `${map}<script type="module">${text}</script>`, { n: 2 }, async (tab) => {
      const isBehind = (id) => tab.waitForFunction((id) => JSON.parse(localStorage.getItem('last'))?.id > id, id);
      await tab.waitForURL('**/readme.html');
      await isBehind(0);
      const before = await tab.evaluate(() => JSON.parse(localStorage.getItem('last')).id);
      await publish(scene.url, '/stock/b', { n: 1 });
      await isBehind(before);
      await tab.goto('about:blank');
      await publish(scene.url, '/stock/c', { n: 2 });
      await tab.goto(`${scene.origin}/static/readme.html`);
    });
  }),
  'pattern = "/status/*"': isConfiguration,
  "curl -s 'http://127.0.0.1:8080/history/stock/acme?limit=100'": withHistory(async (text, { shell }) => {
    const [first, second] = text.trimEnd().split('\n');
    const channel = JSON.parse(await shell.run(first));
    assert.deepEqual([channel.messages.length, channel.complete], [1, true]);
    const pattern = JSON.parse(await shell.run(second));
    assert.deepEqual([pattern.channel, pattern.end], ['/stock/**', true]);
  }),
  'allow = ["forget"]': isConfiguration,
  'sqlite3 -readonly /var/lib/mirant/history.db': withHistory(async (text, { shell, directory }) => {
    const printed = await shell.run(text.replace('/var/lib/mirant', directory));
    assert.match(printed, /^\d+\|\/stock\/acme\|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\|\{"price":4\}$/m);
  }),
  'pattern = "/event/*"': isConfiguration,
  '// npm jsforce': withHistory(inNodeUntil(/^\{ event: \{ replayId: \d+ \}, text: 'hello' \}$/m, 'jsforce')),
  'examples/cluster/start 8080': async (text, { shell }) => {
    const program = fileURLToPath(new URL('../../examples/cluster/start', import.meta.url));
    const run = shell.start(`MIRANT_BIN=$PWD/bin/mirant exec ${text.replace('examples/cluster/start 8080', `${program} 0`)}`);
    const [, url] = await run.until(/^clients connect to (\S+) \(Ctrl-C stops all\)$/m);
    const [, ...nodes] = /^node 1, .*: (\S+)\nnode 2, .*: (\S+)\nnode 3, .*: (\S+)$/m.exec(run.text);
    // The next snippet, at two of these nodes.
    const listen = snippetWith("curl -sN 'http://127.0.0.1:8081/events?channel=/chat/demo'").split('\n')[0];
    const stream = shell.start(`${listen.replace('http://127.0.0.1:8081', new URL(nodes[0]).origin)} wait`);
    await stream.until(/retry|:/);
    await publish(nodes[1], '/chat/demo', 'hello');
    await stream.until(/^data: ?\{"channel":"\/chat\/demo","data":"hello"/m);
    await publish(url, '/chat/demo', 'hello again');
    await stream.until(/"hello again"/);
    process.kill(run.pid, 'SIGINT');
    const [code] = await within('the end of all', run.exit, 30_000);
    assert.equal(code, 0, run.errors);
  },
  'curl -sN \'http://127.0.0.1:8081/events?channel=/chat/demo': async (text, { shell, origin, url }) => {
    // Both nodes are one server here.
    const stream = shell.start(`${text.split('\n')[0].replace('http://127.0.0.1:8081', origin)} wait`);
    await stream.until(/retry|:/);
    await publishes('/chat/demo', 'hello')(text.split('\n')[1].replace('http://127.0.0.1:8082', origin), { shell, url });
    await stream.until(/"data":"hello"/);
  },
  '[cluster]\nredis = ': async (text, { shell }) => {
    await writeFile(join(shell.folder, 'snippet.toml'), text);
    const command = 'MIRANT_CLUSTER_SECRET=$(openssl rand -hex 32) mirant check-config snippet.toml';
    assert.equal(await shell.run(command), 'snippet.toml: ok\n');
  },
  'maxmemory-policy noeviction': async (text, { shell }) => {
    await writeFile(join(shell.folder, 'redis.conf'), text);
    const socket = join(shell.folder, 'redis.socket');
    const run = shell.start(`exec redis-server redis.conf --port 0 --unixsocket ${socket}`);
    await run.until(/ready to accept connections/i);
    const asked = await shell.run(`redis-cli -s ${socket} CONFIG GET client-output-buffer-limit`);
    assert.match(asked, /pubsub 268435456 67108864 60/);
  },
  "/cometd -H 'Origin: https://www.example.com' -d '[]'": async (text, { shell }) => {
    assert.match(await shell.run(text), /pages of https:\/\/www\.example\.com are refused: add that origin/);
  },
  'head -c 70000 /dev/zero': async (text, { shell }) => {
    assert.match(await shell.run(text), /^\{"error":"the request's body is larger than bayeux\.max_message_size"\}\n?$/);
  },
  'path = "/cometd"                                # the servlet': isConfiguration,
  'path = "/faye"': isConfiguration,
  "it was a Faye server's before": (text, { shell, origin: other }) =>
    onStage(['bayeux.path=/faye'], ({ server: { origin } }) => inNode('faye')(text.replaceAll(other, origin), { shell })),
  'name = "my-site"': async (text, { shell }) => {
    await writeFile(join(shell.folder, 'snippet.toml'), text);
    const command = 'MIRANT_KEY=$(openssl rand -hex 32) mirant check-config snippet.toml';
    assert.equal(await shell.run(command), 'snippet.toml: ok\n');
  },
  'R=http://127.0.0.1:8080/resources/news/1': (text, { shell, origin: other }) =>
    onStage(['channel=[{pattern="/news/*", resource=true}]'], async ({ server: { origin, url } }) => {
      await publish(url, '/news/1', 'hello');
      assert.match(await shell.run(text.replaceAll(other, origin)), /^HTTP\/1\.1 200 [^]*ETag: [^]*"hello"$/);
    }),
  '"POST /cometd HTTP/1.1" 200': async (text, { shell }) => {
    const server = shell.start('exec mirant serve --set log.access=stdout');
    const [, url] = await server.until(/listening on (\S+\/cometd)/);
    await shell.run(`curl -s -A Mozilla/5.0 ${url} -d '{"channel":"/meta/handshake","version":"1.0"}'`);
    await server.until(new RegExp(`^${escaped(text.trimEnd()).replace(/\d+/g, '\\d+').replace('Nov', '\\w+')}$`, 'm'));
  },
  'mirant bench idle': parsed,
  'mirant bench fan-out --url http://10.0.0.5': parsed,
};

/** What is not run, and why. */
const NOT_RUN = {
  '# nchan\n': 'it is what nchan understands, of which the guide says what takes its place',
  'cargo build --release': 'it makes the program that the others run, and takes minutes',
};

/** What the server of a snippet is set to: what the text around the snippets says, and short waits. */
const SETTINGS = [
  'bayeux.max_interval=5m',
  'bayeux.timeout=2s',
  'bayeux.publish_without_session=true',
  'streaming.lifetime=3s',
  'resources.timeout=10s',
  'services.echo=/service/echo',
  'channel=[{pattern="/chat/**", resource=true}]',
];

const WAYS = { ...RUNS, ...NOT_RUN };
const waysOf = ({ text }) => Object.keys(WAYS).filter((sign) => text.includes(sign));

test('every snippet has a way to run it, and there are none besides', () => {
  for (const snippet of ALL) {
    const found = waysOf(snippet);
    const what = `${snippet.place} needs one way in RUNS or NOT_RUN, and has: [${found}]`;
    assert.equal(found.length, 1, `${what}\n${snippet.text}`);
  }
  const used = new Set(ALL.flatMap(waysOf));
  assert.deepEqual([...used].sort(), Object.keys(WAYS).sort());
});

describe('snippets', () => {
  for (const snippet of ALL) {
    const [sign] = waysOf(snippet);
    if (!sign) continue;
    const skip = NOT_RUN[sign] ? `not run: ${NOT_RUN[sign]}` : backends.LEFT_OUT[sign];
    test(`${snippet.place}: ${sign.trim().split('\n')[0]}`, { skip }, () =>
      onStage(SETTINGS, (stage) =>
        withShell(async (shell) => {
          const { origin, url } = stage.server;
          const text = snippet.text.replaceAll(PUBLIC, origin).replaceAll(LOCAL, origin);
          await RUNS[sign](text, { stage, shell, url, origin });
        }),
      ),
    );
  }
});

/** The snippets of all guides, and where they stand. */
async function allSnippets() {
  const all = [];
  for (const guide of await guides()) {
    const found = snippets(await read(guide));
    all.push(...found.map((snippet) => ({ ...snippet, place: `${guide}:${snippet.line}` })));
  }
  return all;
}

/** The headers of a request with the body `{}` that is signed by several secrets, as JSON. */
function signedBy(...secrets) {
  const time = Math.floor(Date.now() / 1000);
  const signature = (secret) => createHmac('sha256', secret).update(`msg_1.${time}.{}`).digest('base64');
  const signatures = secrets.map((secret) => `v1,${signature(secret)}`);
  return JSON.stringify({ 'webhook-id': 'msg_1', 'webhook-timestamp': `${time}`, 'webhook-signature': signatures.join(' ') });
}

/** Checks JSON values, each of which begins a line. */
async function isJson(text) {
  for (const value of text.trimEnd().split(/\n(?=\{)/)) JSON.parse(value);
}

/** The snippet that has this in its text. */
function snippetWith(part) {
  return ALL.find(({ text }) => text.includes(part)).text;
}

/** Publishes by a session of its own. */
async function publish(url, channel, data) {
  const session = await RawSession.open(url);
  await session.ask(channel, { data });
}

/** Runs what publishes, and waits for it as a subscriber. */
function publishes(channel, data) {
  return async (text, { shell, url }) => {
    const subscriber = await RawSession.open(url);
    await subscriber.ask('/meta/subscribe', { subscription: channel });
    await shell.run(text);
    const events = (await subscriber.ask('/meta/connect')).slice(0, -1);
    assert.deepEqual(events.map((event) => [event.channel, event.data]), [[channel, data]]);
  };
}

/**
 * Runs it with a server that is configured as the guide says, and with a token of an editor: in the file
 * token.txt, and where the text fetches one.
 */
function withToken(run) {
  return async (text, { shell, origin: other }) => {
    const secret = join(shell.folder, 'secret');
    const config = join(shell.folder, 'mirant.toml');
    await writeFile(secret, 'a secret that is long enough to be one');
    const issuer = snippetWith('secret = { env = "TOKEN_SECRET" }');
    await writeFile(config, issuer.replace('{ env = "TOKEN_SECRET" }', `{ file = "${secret}" }`));
    const create = 'mirant token create --config mirant.toml --user u1 --role editor';
    const token = await shell.run(`${create} | tee token.txt`);
    const play = (stage) => {
      const { url, origin } = stage.server;
      const own = text.replaceAll(other, origin).replace(/'[^']*\/token'/, `'data:,${token.trim()}'`);
      return run(own, { stage, shell, url, origin });
    };
    await onStage(SETTINGS, play, ['--config', config]);
  };
}

/** Runs it with a server that has an API, and with a key for all of that in the environment. */
function withApi(run) {
  return async (text, context) => {
    const key = 'mirant_of_the_snippets_of_the_guides_1234567890';
    const hash = createHash('sha256').update(key).digest('hex');
    const settings = ['api.public=true', `api.key=[{ name = "app", hash = "sha256:${hash}", allow = ["admin"] }]`];
    const play = (stage) => {
      const { url, origin } = stage.server;
      const own = text.replaceAll('http://127.0.0.1:8081', origin);
      return run(`export MIRANT_KEY=${key}\n${own}`, { ...context, stage, url, origin });
    };
    await onStage([...SETTINGS, ...settings], play);
  };
}

/** Runs it with a server that keeps what is published, and that of one message. */
function withHistory(run) {
  return async (text, { shell, origin: other, ...context }) => {
    const directory = join(shell.folder, 'history');
    const channels = [
      '{pattern="/stock/**", history={messages=10}}',
      '{pattern="/chat/*", history={messages=10}}',
      '{pattern="/event/*", history={messages=10}, replay_id="data"}',
    ];
    const play = async (stage) => {
      const { url, origin } = stage.server;
      await publish(url, '/stock/acme', { price: 4 });
      await publish(url, '/chat/demo', 'hi');
      await publish(url, '/event/Order__e', { text: 'hello' });
      await run(text.replaceAll(other, origin), { ...context, shell, stage, url, origin, directory });
    };
    await onStage([...SETTINGS.slice(0, -1), `channel=[${channels.join()}]`, `history.directory=${directory}`], play);
  };
}

/** The names of what an object has, in their order. */
const fieldsOf = (object) => Object.keys(object);

/** Starts servers, and waits for what they print. */
function serves(pattern) {
  return async (text, { shell }) => {
    const run = shell.start(text);
    const [, page] = await run.until(pattern);
    if (page) assert.equal((await fetch(page)).status, 200);
  };
}

/** Checks a configuration. */
async function isConfiguration(text, { shell }) {
  await writeFile(join(shell.folder, 'snippet.toml'), text);
  assert.match(await shell.run('mirant check-config - < snippet.toml'), /^standard input: ok/);
}

/** Has the program read the arguments of each of its calls, and not act on them. */
async function parsed(text, { shell }) {
  const calls = text.split('\n').filter((line) => /\bmirant bench\b/.test(line));
  assert.ok(calls.length > 0);
  // A process for `$!`.
  for (const call of calls) await shell.run(`true & ${call.replace(/ > \S+$/, '')} --help`);
}

/** Runs a module in Node, where packages have the names that npm gives them. */
function inNode(...packages) {
  return inNodeUntil(/^\{ text: 'hello' \}$/m, ...packages);
}

/** Runs a module in Node until it prints this. */
function inNodeUntil(pattern, ...packages) {
  return async (text, { shell }) => {
    const folder = await mkdtemp(join(tmpdir(), 'mirant-readme-'));
    try {
      await mkdir(join(folder, 'node_modules'));
      for (const name of packages) {
        const target = { cometd: 'cometd-9', 'cometd-nodejs-client': 'cometd-nodejs-client-2', faye: 'faye-1.4' }[name] ?? name;
        await symlink(join(MODULES, target), join(folder, 'node_modules', name));
      }
      await writeFile(join(folder, 'snippet.mjs'), text);
      const run = shell.start(`exec ${process.execPath} ${join(folder, 'snippet.mjs')}`);
      await run.until(pattern);
    } finally {
      await rm(folder, { recursive: true });
    }
  };
}

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

/** Opens a page of the server's own origin that holds a text, and waits for what it logs. */
async function page({ stage, origin }, html, expected, act = async () => {}) {
  const context = await browser.newContext();
  try {
    await context.grantPermissions(['local-network-access']);
    await context.route(`${origin}/static/**`, async (route) => {
      const asked = route.request().url();
      if (asked !== `${origin}/static/readme.html`) return route.fulfill(await staticResponse(asked));
      return route.fulfill({ contentType: 'text/html; charset=utf-8', body: html });
    });
    const tab = await context.newPage();
    tab.on('pageerror', (error) => stage.log(error.stack));
    const logged = new Promise((resolve) => {
      tab.on('console', async (message) => {
        stage.log(message.text());
        // The value is gone with its page, if that was left meanwhile.
        const read = Promise.all(message.args().map((argument) => argument.jsonValue()));
        const [value] = await read.catch(() => []);
        if (JSON.stringify(value) === JSON.stringify(expected)) resolve();
      });
    });
    const acting = act(tab);
    await tab.goto(`${origin}/static/readme.html`);
    await acting;
    await within(`the page to log ${JSON.stringify(expected)}`, logged);
  } finally {
    await context.close();
  }
}

/** Runs a module in a page, where packages are found as an import map says. */
function inPage(imports) {
  return (text, scene) => {
    const map = `<script type="importmap">${JSON.stringify({ imports })}</script>`;
    return page(scene, `${map}<script type="module">${text}</script>`, { text: 'hello' });
  };
}

/** Runs a page whose scripts are where npm has them. */
function inJqueryPage(text, scene) {
  const html = text
    .replace('src="jquery.js"', 'src="/static/jquery/jquery.js"')
    .replace('src="cometd.js"', 'src="/static/cometd-jquery/org/cometd.js"')
    .replace('src="jquery.cometd.js"', 'src="/static/cometd-jquery/jquery/jquery.cometd.js"');
  return page(scene, html, { text: 'hello' });
}

/** Runs a script of a page with these. */
function inJqueryScript(text, scene) {
  const sources = ['jquery/jquery.js', 'cometd-jquery/org/cometd.js', 'cometd-jquery/jquery/jquery.cometd.js'];
  const scripts = sources.map((source) => `<script src="/static/${source}"></script>`).join('');
  return page(scene, `${scripts}<script type="module">${text}</script>`, { text: 'hello' });
}

/** Publishes when the page has its event stream. */
function streamInPage(text, scene) {
  const event = { channel: '/stock/a', data: 'up' };
  return page(scene, `<script>${text}</script>`, event, async (tab) => {
    await tab.waitForResponse((response) => response.url().includes('/events?'));
    await publish(scene.url, event.channel, event.data);
  });
}

/** A pattern that matches a text as it is. */
function escaped(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
