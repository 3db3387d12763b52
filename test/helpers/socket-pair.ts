// Two connected sockets of Node, the accepted one paused, so that Node does not read it.

import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Test } from 'tap';
import { descriptorOf } from '../../src/nbd/socket.js';
import { socketDirectory } from './nbd-raw-client.js';

/** Errors of both sockets are ignored; they, and the server between them, end with the test. `fd` is that of the accepted one. */
export async function socketPair(t: Test, kind: string): Promise<{ client: Socket; accepted: Socket; fd: number }> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
  const path = join(socketDirectory(t), 's');
  server.listen(kind === 'unix' ? { path } : { host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const address = server.address();
  const client = connect(typeof address === 'string' ? { path } : { host: '127.0.0.1', port: address?.port ?? 0 });
  const [accepted] = (await once(server, 'connection')) as [Socket];
  client.on('error', () => undefined);
  accepted.on('error', () => undefined);
  t.teardown(() => {
    client.destroy();
    accepted.destroy();
    server.close();
  });
  return { client, accepted, fd: descriptorOf(accepted) };
}
