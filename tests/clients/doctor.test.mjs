// `mirant doctor` in front of real proxies: as their examples set them up, and with one mistake each.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';

import { apache, haproxy, nginx, Proxy } from './support/proxy.mjs';
import { binary } from './support/server.mjs';
import { onStage } from './support/stage.mjs';
import { within } from './support/within.mjs';

/** How long the server holds a connect, and the example's configuration does not cut one. */
const SETTINGS = ['bayeux.timeout=2s', 'http.trusted_proxies=["127.0.0.1"]'];
/** All that it looks at, in its order. */
const CHECKS = ['reach', 'host', 'address', 'clock', 'websocket', 'streams', 'idle'];

const nginxUpgrade = [
  ['proxy_set_header Upgrade $http_upgrade;', ''],
  ['proxy_set_header Connection $mirant_connection;', 'proxy_set_header Connection "";'],
];
const apacheComet = '"/cometd" "http://${MIRANT}/cometd" connectiontimeout=5 timeout=60';

/** Of each proxy: mistakes, with the check that finds each, and the directive that mends it. */
const proxies = {
  nginx: {
    kind: nginx,
    mistakes: {
      'buffers streams': {
        changes: [['proxy_buffering off;', 'proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;']],
        check: 'streams',
        fix: /^nginx: `proxy_buffering off;`, and no `proxy_ignore_headers X-Accel-Buffering`$/,
      },
      'cuts idle requests': {
        changes: [['proxy_read_timeout 60s;', 'proxy_read_timeout 1s;']],
        check: 'idle',
        fix: /^nginx: `proxy_read_timeout 32s;`$/,
      },
      'drops Upgrade': {
        changes: nginxUpgrade,
        check: 'websocket',
        fix: /^nginx: .*proxy_set_header Upgrade \$http_upgrade;/,
      },
      'changes Host': {
        changes: [['proxy_set_header Host $http_host;', '']],
        check: 'host',
        fix: /^nginx: `proxy_set_header Host \$http_host;`$/,
      },
      'hides its clients': {
        changes: [['proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;', '']],
        check: 'address',
        fix: /^nginx: `proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;`$/,
      },
    },
  },
  haproxy: {
    kind: haproxy,
    mistakes: {
      'buffers streams': {
        changes: [['option http-no-delay', '']],
        check: 'streams',
        fix: /\| HAProxy: `option http-no-delay` \|/,
      },
      'cuts idle requests': {
        changes: [['timeout server 60s', 'timeout server 1s']],
        check: 'idle',
        fix: /\| HAProxy: `timeout server 32s` and `timeout client 32s` \|/,
      },
      'drops Upgrade': {
        changes: [['http-reuse safe', 'http-reuse safe\n    http-request del-header Upgrade']],
        check: 'websocket',
        fix: /\| HAProxy: .*`http-request del-header Upgrade`/,
      },
      'changes Host': {
        changes: [['http-reuse safe', 'http-reuse safe\n    http-request set-header Host mirant.internal']],
        check: 'host',
        fix: /\| HAProxy: no `http-request set-header Host` \|/,
      },
      'hides its clients': {
        changes: [['option forwardfor', '']],
        check: 'address',
        fix: /\| HAProxy: `option forwardfor` \|/,
      },
    },
  },
  apache: {
    kind: apache,
    mistakes: {
      'buffers streams': {
        changes: [
          [
            'ProxyPreserveHost On',
            `LoadModule ext_filter_module /usr/lib/apache2/modules/mod_ext_filter.so
            ExtFilterDefine hold mode=output intype=text/event-stream cmd=/usr/bin/sort
            SetOutputFilter hold
            ProxyPreserveHost On`,
          ],
        ],
        check: 'streams',
        fix: /^Apache: no output filter .*`SetOutputFilter`/,
      },
      'cuts idle requests': {
        changes: [[apacheComet, apacheComet.replace('timeout=60', 'timeout=1')]],
        check: 'idle',
        fix: /^Apache: `timeout=32` in ProxyPass$/,
      },
      'drops Upgrade': {
        changes: [[' upgrade=websocket', '']],
        check: 'websocket',
        fix: /^Apache: `upgrade=websocket` in ProxyPass/,
      },
      'changes Host': {
        changes: [['ProxyPreserveHost On', 'ProxyPreserveHost Off']],
        check: 'host',
        fix: /^Apache: `ProxyPreserveHost On`$/,
      },
      'hides its clients': {
        changes: [['ProxyPreserveHost On', 'ProxyPreserveHost On\nProxyAddHeaders Off']],
        check: 'address',
        fix: /^Apache: `ProxyAddHeaders On`$/,
      },
    },
  },
};

/** Runs `mirant doctor`; its exit code and findings. */
async function doctor(url, args = []) {
  const ran = new Promise((resolve) => {
    execFile(binary(), ['doctor', '--json', '--url', url, ...args], (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, stdout, stderr });
    });
  });
  const { code, stdout, stderr } = await within('the end of mirant doctor', ran);
  assert.equal(stderr, '');
  return { code, findings: stdout.trimEnd().split('\n').map((line) => JSON.parse(line)) };
}

/** Starts a proxy in front of the stage's server, which ends with the stage; its endpoint. */
async function behind(kind, changes, stage) {
  const upstream = new URL(stage.server.url).host;
  const proxy = await Proxy.start(kind, upstream, { changes, log: (line) => stage.log(line) });
  stage.add(proxy);
  return `${proxy.origin}/cometd`;
}

/** Runs it through a proxy. */
function through(kind, changes, play, settings = SETTINGS) {
  return () => onStage(settings, async (stage) => play(await behind(kind, changes, stage)));
}

for (const [name, { kind, mistakes }] of Object.entries(proxies)) {
  describe(`doctor through ${name}`, () => {
    test(
      'finds nothing wrong with the example',
      through(kind, [], async (url) => {
        const { code, findings } = await doctor(url);
        const states = findings.map(({ check, state }) => [check, state]);
        assert.deepEqual(states, CHECKS.map((check) => [check, 'ok']), JSON.stringify(findings));
        assert.equal(code, 0);
      }),
    );

    for (const [mistake, { changes, check, fix }] of Object.entries(mistakes)) {
      test(
        `finds one that ${mistake}, and nothing else`,
        through(kind, changes, async (url) => {
          const { code, findings } = await doctor(url);
          const found = findings.filter(({ state }) => state !== 'ok');
          assert.deepEqual(found.map((finding) => [finding.check, finding.state]), [[check, 'wrong']], JSON.stringify(found));
          assert.match(found[0].fix, fix);
          assert.equal(code, 1);
          assert.equal(findings.length, CHECKS.length);
        }),
      );
    }
  });
}

describe('doctor', () => {
  const untrusting = SETTINGS.slice(0, 1);

  test(
    'finds that the server does not trust the proxy',
    through(
      nginx,
      [],
      async (url) => {
        const { findings } = await doctor(url, ['--quick']);
        const found = findings.filter(({ state }) => state !== 'ok');
        assert.deepEqual(found.map(({ check }) => check), ['address']);
        assert.match(found[0].fix, /^http\.trusted_proxies/);
        assert.ok(!findings.some(({ check }) => check === 'idle'));
      },
      untrusting,
    ),
  );

  test('finds nothing wrong where there is no proxy', () =>
    onStage(untrusting, async (stage) => {
      const { code, findings } = await doctor(stage.server.url);
      assert.deepEqual(findings.filter(({ state }) => state !== 'ok'), []);
      assert.equal(code, 0);
    }));

  test('says what it could not tell without a right to publish, and takes another channel', () => {
    const rule = '{ allow = ["handshake", "subscribe", "publish"], channels = ["/open"], who = "anyone" }';
    return onStage([...untrusting, `access=[${rule}]`], async (stage) => {
      const { url } = stage.server;
      const { code, findings } = await doctor(url, ['--quick']);
      const [found, ...others] = findings.filter(({ state }) => state !== 'ok');
      assert.deepEqual([found.check, found.state, others, code], ['streams', 'warning', [], 0]);
      assert.match(found.fix, /--token.*--channel/);
      const { findings: open } = await doctor(url, ['--quick', '--channel', '/open']);
      assert.deepEqual(open.filter(({ state }) => state !== 'ok'), []);
    });
  });

  test('finds a host that is not served', () =>
    onStage([...SETTINGS, 'http.hosts=["127.0.0.1"]'], async (stage) => {
      const changes = [['proxy_set_header Host $http_host;', '']];
      const { code, findings } = await doctor(await behind(nginx, changes, stage));
      assert.equal(code, 1);
      const host = findings.find(({ check }) => check === 'host');
      assert.equal(host.state, 'wrong');
      assert.match(host.fix, /\$http_host.*http\.hosts/);
    }));

  test('finds that the server is not there', async () => {
    const proxy = await Proxy.start(nginx, '127.0.0.1:1', {});
    try {
      const { code, findings } = await doctor(`${proxy.origin}/cometd`);
      assert.equal(code, 1);
      assert.deepEqual(findings.map(({ check, state }) => [check, state]), [['reach', 'wrong']]);
      assert.match(findings[0].seen, /status 502 by nginx/);
    } finally {
      await proxy.close();
    }
  });
});
