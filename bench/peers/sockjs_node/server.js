// sockjs-node with /echo and /broadcast: the library's defaults, nothing logged.
//
//     node server.js PORT
'use strict';

const http = require('http');
const sockjs = require('sockjs');

const quiet = { log() {} };

const echo = sockjs.createServer(quiet);
echo.on('connection', (connection) => {
  connection.on('data', (message) => connection.write(message));
});

const everybody = new Set();
const broadcast = sockjs.createServer(quiet);
broadcast.on('connection', (connection) => {
  everybody.add(connection);
  connection.on('close', () => everybody.delete(connection));
  connection.on('data', (message) => {
    for (const other of everybody) {
      other.write(message);
    }
  });
});

const server = http.createServer((request, response) => {
  response.writeHead(404);
  response.end();
});
echo.installHandlers(server, { prefix: '/echo' });
broadcast.installHandlers(server, { prefix: '/broadcast' });
server.listen(Number(process.argv[2]), '127.0.0.1');
