import { Server } from './server.mjs';

const LOG_LINES = 40;

/** A server of its own for one test, and the clients of that test. */
class Stage {
  #peers = [];
  #lines = [];

  constructor(server) {
    this.server = server;
  }

  add(peer) {
    this.#peers.push(peer);
    return peer;
  }

  /** Takes a line that a client wrote. */
  log(line) {
    this.#lines.push(line);
  }

  /** Runs `play`; its failure gets the end of the server's and the clients' logs. */
  async explain(play) {
    try {
      await play();
    } catch (error) {
      if (error.explained) throw error;
      const clients = this.#lines.slice(-LOG_LINES).join('\n');
      const logs = `--- server\n${this.server.log}\n--- clients\n${clients}`;
      const explained = new Error(`${error.message}\n${logs}`, { cause: error });
      throw Object.assign(explained, { explained: true });
    }
  }

  /** Ends the clients, then the server. */
  async close() {
    const ends = await Promise.allSettled(this.#peers.map((peer) => peer.close()));
    await this.server.stop();
    for (const { reason } of ends) if (reason) throw reason;
  }
}

/**
 * Runs `play` with `mirant serve` of its own.
 *
 * @param {string[]} settings of the server
 * @param {(stage: Stage) => Promise<void>} play
 * @param {string[]} flags of the server
 */
export async function onStage(settings, play, flags = []) {
  await onStageOf(await Server.start(settings, flags), play);
}

/**
 * Runs `play` with a server that has started, and requires that it and the clients end well.
 *
 * @param {Server | Example} server
 * @param {(stage: Stage) => Promise<void>} play
 */
export async function onStageOf(server, play) {
  const stage = new Stage(server);
  let failed = true;
  try {
    await stage.explain(() => play(stage));
    failed = false;
  } finally {
    const end = stage.explain(() => stage.close());
    // The first failure is the one to report.
    await (failed ? end.catch(() => {}) : end);
  }
}
