// Redis, nodes, and nginx in front of them, for one measurement; all end with it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { MIRANT, Measured, ROOT, freePort, listens } from '../support/measured.mjs';

export class Nodes {
  folder = mkdtempSync(join(tmpdir(), 'mirant-bench-'));
  nodes = [];
  urls = [];

  /**
   * Starts so many nodes; without `isCluster` one that knows of no others.
   *
   * @param {number} count
   * @param {{ isCluster?: boolean, isBalanced?: boolean, settings?: string[] }} options
   */
  static async start(count, { isCluster = true, isBalanced = false, settings = [] } = {}) {
    const nodes = new Nodes();
    try {
      if (isCluster) await nodes.#redis();
      for (let at = 0; at < count; at += 1) await nodes.#node(settings);
      if (isBalanced) await nodes.#nginx();
    } catch (error) {
      await nodes.end();
      throw error;
    }
    return nodes;
  }

  /** Processor time of all nodes so far. */
  get cpu() {
    return this.nodes.reduce((sum, { cpu }) => sum + cpu, 0);
  }

  /** Memory of all nodes. */
  get resident() {
    return this.nodes.reduce((sum, { resident }) => sum + resident, 0);
  }

  async end() {
    for (const process of [this.nginx, ...this.nodes, this.redis]) await process?.end();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #redis() {
    this.redisPort = await freePort();
    const args = ['--port', `${this.redisPort}`, '--bind', '127.0.0.1', '--save', '', '--dir', this.folder];
    this.redis = new Measured(spawn('redis-server', args, { stdio: 'ignore' }));
    await listens(this.redisPort);
    const secret = join(this.folder, 'secret');
    writeFileSync(secret, 'a secret of nodes that are measured\n');
    this.settings = [
      `cluster.redis=redis://127.0.0.1:${this.redisPort}`,
      'cluster.listen=127.0.0.1:0',
      `cluster.secret={ file = '${secret}' }`,
    ];
  }

  async #node(more) {
    const settings = [...(this.settings ?? []), ...more].flatMap((setting) => ['--set', setting]);
    const args = ['serve', '--listen', '127.0.0.1:0', ...settings];
    const child = spawn(MIRANT, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(createInterface({ input: child.stdout }), 'line');
    this.nodes.push(new Measured(child));
    this.urls.push(/^listening on (\S+)$/.exec(line)[1]);
  }

  /** One address that hands each request to the next node, and one for each node; with connections that are kept. */
  async #nginx() {
    const hosts = this.urls.map((url) => new URL(url).host);
    const groups = [hosts, ...hosts.map((host) => [host])];
    const ports = [];
    for (const _ of groups) ports.push(await freePort());
    const sites = groups.map((group, at) => `upstream nodes${at} { ${group.map((host) => `server ${host};`).join(' ')} keepalive 9000; }
      server { listen 127.0.0.1:${ports[at]}; location / {
        proxy_pass http://nodes${at}; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffering off; } }`);
    const { folder } = this;
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`);
    const main = `daemon off; master_process off; pid ${folder}/pid; error_log stderr crit;
      events { worker_connections 19000; } http { access_log off; ${paths.join(' ')} ${sites.join('\n')} }`;
    writeFileSync(join(folder, 'nginx.conf'), main);
    this.nginx = new Measured(spawn('/usr/sbin/nginx', ['-c', join(folder, 'nginx.conf')], { stdio: 'inherit' }));
    for (const port of ports) await listens(port);
    [this.anywhere, ...this.sticky] = ports.map((port) => `http://127.0.0.1:${port}/cometd`);
  }
}
