// node files.js PORT FILE: an HTTP server that reads the file anew for each request.
const [port, file] = process.argv.slice(2);
const answer = (_, response) =>
  require('node:fs').readFile(file, (error, data) => response.writeHead(error ? 500 : 200).end(data));
require('node:http').createServer(answer).listen(Number(port), '127.0.0.1');
