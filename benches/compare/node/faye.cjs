// Faye at http://127.0.0.1:PORT/cometd. Usage: node faye.cjs PORT
const http = require('node:http');
const faye = require('faye');

const bayeux = new faye.NodeAdapter({ mount: '/cometd', timeout: 30 });
const server = http.createServer();
bayeux.attach(server);
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
