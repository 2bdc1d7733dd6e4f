// cometd-nodejs-server at http://127.0.0.1:PORT/cometd. Usage: node cometd-nodejs.cjs PORT
const http = require('node:http');
const cometd = require('cometd-nodejs-server');

const bayeux = cometd.createCometDServer({ timeout: 30_000 });
const server = http.createServer(bayeux.handle);
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
